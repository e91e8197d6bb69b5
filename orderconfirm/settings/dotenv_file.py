"""The `.env` file, read strictly: a line that is skipped would start the service without the relay that it names."""

from __future__ import annotations

from collections.abc import Collection
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from orderconfirm.errors import SettingsError
from orderconfirm.settings.names import doubts


def read(path: Path, known: Collection[str]) -> dict[str, str]:
    """What the file sets; nothing without a file.

    Raises SettingsError, which names every line that cannot be read by its number, as it may hold a secret, and every
    name that is a setting misspelt.
    """
    if not path.exists() or path.is_dir():
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as exc:
        raise SettingsError([f"{path.name} cannot be read as UTF-8 text"]) from exc
    lines = list(parse_stream(StringIO(text)))
    problems = [
        f"{path.name}, line {_number(line)} cannot be read: write NAME=value" for line in lines if _is_bad(line)
    ]
    names = [line.key for line in lines if line.key and not _is_bad(line)]
    problems += [f"{name} in {path.name} {doubt}" for name, doubt in doubts(names, known, is_shared=False).items()]
    if problems:
        raise SettingsError(problems)
    return {name: value for name, value in dotenv_values(stream=StringIO(text)).items() if value is not None}


def _is_bad(line: Binding) -> bool:
    """A name alone sets nothing; the end of the file has no name."""
    return line.error or (line.key is not None and line.value is None)


def _number(line: Binding) -> int:
    """Its own: python-dotenv counts from the blank lines above it."""
    text = line.original.string
    return line.original.line + text[: len(text) - len(text.lstrip())].count("\n")
