"""The values of a shop's profile that may differ by language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from orderconfirm.settings import ByLanguage, Settings

#: Values that are one text, or a table of texts by language tag. The fields of the settings have the same names.
BY_LANGUAGE = ("legal_text", "withdrawal_url")
_PARSERS = {each.name: each.metadata["parse"] for each in fields(Settings)}


def texts_by_language(table: Mapping[str, Any], settings: Settings) -> tuple[dict[str, ByLanguage], list[str]]:
    """Return the texts that a profile gives, by their names, and a sentence for each problem.

    For the languages that a table lacks, the text of the settings is used.
    """
    problems: list[str] = []

    def parsed(name: str, field: str, text: object) -> str:
        if isinstance(text, str):
            try:
                return str(_PARSERS[field](text))
            except ValueError as exc:
                problems.append(f"{name} {exc}")
        else:
            problems.append(f"{name} must be text in quotes")
        return ""

    found = {}
    for name in (name for name in BY_LANGUAGE if name in table):
        given = table[name]
        if isinstance(given, dict):
            texts = tuple((tag, parsed(f"{name}.{tag}", name, text)) for tag, text in given.items())
            found[name] = ByLanguage(getattr(settings, name).plain, texts)
        else:
            found[name] = ByLanguage(parsed(name, name, given))
    return found, problems
