"""A shop's TOML file: texts, tables and secrets, with a sentence for each problem."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any


class ProfileFile:
    """A file, and its problems so far. What is not valid is left out."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        """`environ` has the variables that the file names for secrets."""
        self._path = path
        self._environ = environ
        self.problems: list[str] = []

    def _load(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as exc:
            self.problems.append(f"it cannot be read: {type(exc).__name__}")
        except tomllib.TOMLDecodeError as exc:
            self.problems.append(f"it is not TOML: {exc}")
        return {}

    def _is_section(self, name: str, table: Any, known: tuple[str, ...]) -> bool:
        """Whether the profile has this table. Its keys should be `known`."""
        if table is None:
            return False
        if not isinstance(table, dict):
            self.problems.append(f"{name} must be a table: [{name}]")
            return False
        self._expect_known(table, known, f"{name}.")
        return True

    def _secrets(self, section: str, table: dict[str, Any], parse: Callable[[str], Any]) -> tuple[str, ...]:
        """Return the secrets that a table names. `parse` raises ValueError for one that is not valid."""
        names = self._texts(section, table, "secret_env")
        sources = [
            *((f"the variable {name}", self._environ.get(name, "")) for name in names),
            *((f"the file {path}", self._file(path)) for path in self._texts(section, table, "secret_file")),
        ]
        if not sources:
            self.problems.append(f"{section}.secret_env is missing: name the variable that holds the secret")
        for source, secret in sources:
            self._parsed(source, secret, parse)
        return tuple(secret for _, secret in sources)

    def _file(self, path: str) -> str:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def _parsed(self, name: str, text: str, parse: Callable[[str], Any]) -> Any:
        try:
            return parse(text)
        except ValueError as exc:
            self.problems.append(f"{name} {exc}")
            return None

    def _text(self, table: dict[str, Any], name: str, prefix: str = "") -> str | None:
        value = table.get(name)
        if value is None or isinstance(value, str):
            return value
        self.problems.append(f"{prefix}{name} must be text in quotes")
        return None

    def _texts(self, section: str, table: dict[str, Any], name: str) -> list[str]:
        """Return one text, or a list of them, as a list."""
        value = table.get(name, [])
        texts = [value] if isinstance(value, str) else value
        if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
            return texts
        self.problems.append(f"{section}.{name} must be text in quotes, or a list of texts")
        return []

    def _expect_known(self, table: dict[str, Any], known: tuple[str, ...], prefix: str = "") -> None:
        for name in (name for name in table if name not in known):
            guess = get_close_matches(name, known, 1)
            self.problems.append(f"{prefix}{name} is not known" + (f": did you mean {guess[0]}?" if guess else ""))
