"""The `.env` file, parsed strictly: skipping a line could start the service without the relay that it names."""

from __future__ import annotations

from collections.abc import Collection
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from orderconfirm.errors import SettingsError
from orderconfirm.settings.names import describe_unknown


def read(path: Path, known: Collection[str]) -> dict[str, str]:
    """Return the variables that the file sets; an empty dict when there is no file.

    Raises SettingsError for every line that cannot be parsed and every misspelt setting. Lines are named by number,
    because they may contain a secret.
    """
    if not path.exists() or path.is_dir():
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as exc:
        raise SettingsError([f"{path.name} cannot be read as UTF-8 text"]) from exc
    lines = list(parse_stream(StringIO(text)))
    problems = [
        f"{path.name}, line {_line_number(line)} cannot be read: write NAME=value"
        for line in lines
        if _is_unreadable(line)
    ]
    names = [line.key for line in lines if line.key and not _is_unreadable(line)]
    unknown = describe_unknown(names, known, is_shared=False)
    problems += [f"{name} in {path.name} {description}" for name, description in unknown.items()]
    if problems:
        raise SettingsError(problems)
    return {name: value for name, value in dotenv_values(stream=StringIO(text)).items() if value is not None}


def _is_unreadable(line: Binding) -> bool:
    """Whether a line has an error, or a name without a value. Blank lines and comments have no name."""
    return line.error or (line.key is not None and line.value is None)


def _line_number(line: Binding) -> int:
    """Return the number of the line itself: python-dotenv's number is that of the first blank line above it."""
    text = line.original.string
    return line.original.line + text[: len(text) - len(text.lstrip())].count("\n")
