"""Dataclass fields that are read from environment variables, and from files for secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, field, fields
from pathlib import Path
from typing import Any


def setting(
    name: str, default: Any, meaning: str, parse: Callable[[str], Any] = str, secret: bool = False, alias: str = ""
) -> Any:
    """Return a dataclass field for variable `name` or `alias`.

    A secret may also be in the file that `name`_FILE names. `parse` raises ValueError with the rest of a sentence that
    begins with the variable's name.
    """
    metadata = {"env": name, "meaning": meaning, "parse": parse, "secret": secret, "alias": alias}
    return field(default=default, metadata=metadata, repr=not secret)


def read_fields(settings_class: Any, environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Return the values that `environ` sets, by field name, and a sentence for each variable that cannot be read."""
    read: dict[str, Any] = {}
    problems: list[str] = []
    for each in fields(settings_class):
        try:
            text = _read_text(environ, each)
            if text:
                read[each.name] = each.metadata["parse"](text)
        except ValueError as exc:
            problems.append(f"{each.metadata['env']} {exc}")
    return read, problems


def variable_names(settings_class: Any) -> set[str]:
    """Return the name of every variable that sets a field: names, aliases and the `_FILE` names of secrets."""
    names = set()
    for each in fields(settings_class):
        name, alias = each.metadata["env"], each.metadata["alias"]
        names |= {name, *([alias] if alias else []), *([f"{name}_FILE"] if each.metadata["secret"] else [])}
    return names


def _read_text(environ: Mapping[str, str], each: Field[Any]) -> str:
    name, alias = each.metadata["env"], each.metadata["alias"]
    text = environ.get(name) or (environ.get(alias, "") if alias else "")
    path = environ.get(f"{name}_FILE", "") if each.metadata["secret"] else ""
    if path and not text:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise ValueError(f"cannot be read: {name}_FILE: {type(exc).__name__}") from None
    return text.strip()
