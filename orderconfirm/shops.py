"""Shop profiles: one TOML file a shop in SHOPS_DIR, whose values take the place of the service's settings."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from orderconfirm.errors import SettingsError
from orderconfirm.platforms import FORMATS, Format
from orderconfirm.platforms.signatures import standard_key
from orderconfirm.settings import DOTENV, ByLanguage, Settings, contradictions, read_dotenv

#: The field of the settings that each value of a profile replaces.
_FIELDS = {
    "name": "company_name",
    "sender": "from_header",
    "reply_to": "support_email",
    "address": "company_address",
    "website": "website_url",
    "logo": "logo_url",
    "logo_dark": "logo_dark_url",
    "brand_color": "brand_color",
    "returns_url": "returns_url",
    "help_url": "help_url",
    "legal_notice": "legal_notice",
    "templates": "templates_dir",
    "locale": "default_locale",
    "currency": "default_currency",
}
#: Values that are one text, or a table of texts by language tag, and the fields of the settings that they replace.
_BY_LANGUAGE = ("legal_text", "withdrawal_url")
_WEBHOOK = ("format", "secret_env", "secret_file", "trigger")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
#: Shorter secrets can be guessed.
_MIN_SECRET_LENGTH = 16
_SETTINGS = {each.name: each.metadata for each in fields(Settings)}


@dataclass(frozen=True, slots=True)
class ShopWebhook:
    """How a shop's platform posts its orders. Any of the `secrets` may sign. With `only_paid`, unpaid ones wait."""

    format: Format
    secrets: tuple[str, ...] = field(repr=False)
    only_paid: bool


@dataclass(frozen=True, slots=True)
class ShopProfile:
    """A shop. `settings` are the service's, with the shop's own values; `timezone` is that of its mails' dates."""

    name: str
    settings: Settings
    timezone: str | None = None
    webhook: ShopWebhook | None = None

    @property
    def order_defaults(self) -> dict[str, object]:
        """The values of the fields that an order may leave out."""
        zone = {"timezone": self.timezone} if self.timezone else {}
        return {"currency": self.settings.default_currency, "locale": self.settings.default_locale, **zone}


class Shops:
    """The profile of every shop. A shop without a file has the service's settings."""

    def __init__(self, settings: Settings, environ: Mapping[str, str] | None = None) -> None:
        """Read SHOPS_DIR, and the secrets in `environ`: by default the environment and the `.env` file.

        Raises SettingsError with every problem of every file. It never contains a secret.
        """
        #: The settings of a shop without a file.
        self.settings = settings
        self.profiles: dict[str, ShopProfile] = {}
        if not settings.shops_dir:
            return
        environ = {**read_dotenv(DOTENV), **os.environ} if environ is None else environ
        problems: list[str] = []
        for path in sorted(Path(settings.shops_dir).glob("*.toml")):
            reader = _ProfileReader(path, settings, environ)
            self.profiles[path.stem] = reader.read()
            problems += (f"{path}: {problem}" for problem in reader.problems)
        if problems:
            raise SettingsError(problems)

    def __getitem__(self, shop: str) -> ShopProfile:
        return self.profiles.get(shop) or ShopProfile(shop, self.settings)


class _ProfileReader:
    """Reads one file and collects its problems."""

    def __init__(self, path: Path, settings: Settings, environ: Mapping[str, str]) -> None:
        self._path = path
        self._settings = settings
        self._environ = environ
        self.problems: list[str] = []

    def read(self) -> ShopProfile:
        table = self._load()
        if not _NAME.match(self._path.stem):
            self.problems.append("the file's name is the shop's: up to 64 letters, digits, - and _, like fjord.toml")
        self._expect_known(table, (*_FIELDS, *_BY_LANGUAGE, "timezone", "webhook"))
        values: dict[str, Any] = {}
        for name, target in _FIELDS.items():
            text = self._text(table, name)
            if text is not None and (value := self._parsed(name, text, _SETTINGS[target]["parse"])) is not None:
                values[target] = value
        values |= self._texts_by_language(table)
        timezone = self._text(table, "timezone")
        if timezone is not None and timezone not in available_timezones():
            self.problems.append("timezone must be a time zone like Europe/Oslo")
            timezone = None
        settings = replace(self._settings, **values)
        self._check(settings)
        return ShopProfile(self._path.stem, settings, timezone, self._webhook(table.get("webhook")))

    def _texts_by_language(self, table: dict[str, Any]) -> dict[str, ByLanguage]:
        """Return the texts by language. The service's own is for the languages that a table lacks."""
        found = {}
        for name in _BY_LANGUAGE:
            given, parse = table.get(name), _SETTINGS[name]["parse"]
            if isinstance(given, dict):
                texts = {tag: self._text(given, tag, f"{name}.") for tag in given}
                parsed = {tag: self._parsed(f"{name}.{tag}", text, parse) for tag, text in texts.items() if text}
                plain = getattr(self._settings, name).plain
                found[name] = ByLanguage(plain, tuple((tag, value.plain) for tag, value in parsed.items() if value))
            elif (text := self._text(table, name)) is not None and (value := self._parsed(name, text, parse)):
                found[name] = value
        return found

    def _load(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as exc:
            self.problems.append(f"it cannot be read: {type(exc).__name__}")
        except tomllib.TOMLDecodeError as exc:
            self.problems.append(f"it is not TOML: {exc}")
        return {}

    def _check(self, settings: Settings) -> None:
        """Add the contradictions that the shop's own values cause, with its names in place of the variables'."""
        names = {_SETTINGS[target]["env"]: name for name, target in _FIELDS.items()}
        known = contradictions(self._settings)
        for problem in contradictions(settings):
            variable, _, rest = problem.partition(" ")
            if problem not in known:
                self.problems.append(f"{names.get(variable, variable)} {rest}")

    def _webhook(self, table: Any) -> ShopWebhook | None:
        if table is None:
            return None
        if not isinstance(table, dict):
            self.problems.append("webhook must be a table: [webhook]")
            return None
        self._expect_known(table, _WEBHOOK, "webhook.")
        chosen = FORMATS.get(self._text(table, "format", "webhook.") or "")
        if chosen is None:
            self.problems.append(f"webhook.format must be one of {', '.join(FORMATS)}")
            return None
        trigger = self._text(table, "trigger", "webhook.") or "created"
        if trigger not in ("created", "paid"):
            self.problems.append("webhook.trigger must be created or paid")
        return ShopWebhook(chosen, self._secrets(table, chosen), trigger == "paid")

    def _secrets(self, table: dict[str, Any], chosen: Format) -> tuple[str, ...]:
        sources = [
            *((f"the variable {name}", self._environ.get(name, "")) for name in self._texts(table, "secret_env")),
            *((f"the file {path}", self._file(path)) for path in self._texts(table, "secret_file")),
        ]
        if not sources:
            self.problems.append("webhook.secret_env is missing: name the variable that holds the secret")
        for source, secret in sources:
            if len(secret) < _MIN_SECRET_LENGTH:
                self.problems.append(f"{source} must hold a secret of at least {_MIN_SECRET_LENGTH} characters")
            elif chosen.name == "standard":
                self._parsed(source, secret, standard_key)
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

    def _texts(self, table: dict[str, Any], name: str) -> list[str]:
        """Return one text, or a list of them, as a list."""
        value = table.get(name, [])
        texts = [value] if isinstance(value, str) else value
        if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
            return texts
        self.problems.append(f"webhook.{name} must be text in quotes, or a list of texts")
        return []

    def _expect_known(self, table: dict[str, Any], known: tuple[str, ...], prefix: str = "") -> None:
        for name in (name for name in table if name not in known):
            guess = get_close_matches(name, known, 1)
            self.problems.append(f"{prefix}{name} is not known" + (f": did you mean {guess[0]}?" if guess else ""))
