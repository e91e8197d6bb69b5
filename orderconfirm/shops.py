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
from orderconfirm.settings import DOTENV, Settings, contradictions, read_dotenv
from orderconfirm.settings.values import callback_secret, callback_url

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
_WEBHOOK = ("format", "secret_env", "secret_file", "trigger")
_CALLBACK = ("url", "secret_env", "secret_file")
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

    def has_callback(self, shop: str) -> bool:
        """Whether the events of this shop's mails are posted to it."""
        return bool(self[shop].settings.callback_url)

    @property
    def have_callbacks(self) -> bool:
        """Whether any shop may have a callback."""
        return any(each.callback_url for each in (self.settings, *(each.settings for each in self.profiles.values())))


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
        self._expect_known(table, (*_FIELDS, "timezone", "webhook", "callback"))
        values: dict[str, Any] = {}
        for name, target in _FIELDS.items():
            text = self._text(table, name)
            if text is not None and (value := self._parsed(name, text, _SETTINGS[target]["parse"])) is not None:
                values[target] = value
        timezone = self._text(table, "timezone")
        if timezone is not None and timezone not in available_timezones():
            self.problems.append("timezone must be a time zone like Europe/Oslo")
            timezone = None
        values |= self._callback(table.get("callback"))
        settings = replace(self._settings, **values)
        self._check(settings)
        return ShopProfile(self._path.stem, settings, timezone, self._webhook(table.get("webhook")))

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
        names |= {"CALLBACK_URL": "callback.url", "CALLBACK_SECRETS": "callback.secret_env"}
        known = contradictions(self._settings)
        for problem in contradictions(settings):
            variable, _, rest = problem.partition(" ")
            if problem not in known:
                self.problems.append(f"{names.get(variable, variable)} {rest}")

    def _webhook(self, table: Any) -> ShopWebhook | None:
        if not self._is_section("webhook", table, _WEBHOOK):
            return None
        chosen = FORMATS.get(self._text(table, "format", "webhook.") or "")
        if chosen is None:
            self.problems.append(f"webhook.format must be one of {', '.join(FORMATS)}")
            return None
        trigger = self._text(table, "trigger", "webhook.") or "created"
        if trigger not in ("created", "paid"):
            self.problems.append("webhook.trigger must be created or paid")
        parse = _standard_secret if chosen.name == "standard" else _secret
        return ShopWebhook(chosen, self._secrets("webhook", table, parse), trigger == "paid")

    def _callback(self, table: Any) -> dict[str, Any]:
        """Return the fields of the settings that the shop's callback replaces."""
        if not self._is_section("callback", table, _CALLBACK):
            return {}
        secrets = self._secrets("callback", table, callback_secret)
        url = self._parsed("callback.url", self._text(table, "url", "callback.") or "", callback_url)
        return {"callback_url": url, "callback_secrets": secrets} if url and secrets else {}

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
        sources = [
            *(
                (f"the variable {name}", self._environ.get(name, ""))
                for name in self._texts(section, table, "secret_env")
            ),
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


def _secret(text: str) -> str:
    if len(text) < _MIN_SECRET_LENGTH:
        raise ValueError(f"must hold a secret of at least {_MIN_SECRET_LENGTH} characters")
    return text


def _standard_secret(text: str) -> bytes:
    return standard_key(_secret(text))
