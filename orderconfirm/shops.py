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
from orderconfirm.queries import COMMON_ACCOUNT
from orderconfirm.settings import DOTENV, Settings, contradictions, read_dotenv
from orderconfirm.shop_relays import NO_RELAY, RELAY_FIELDS, RELAY_SECRETS, RELAY_SECURITY, share_accounts

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
_RELAY = (*RELAY_FIELDS, "security", *(f"{name}_{place}" for name in RELAY_SECRETS for place in ("env", "file")))
#: What a problem with the settings of a profile calls each variable.
_NAMES = {
    **{field: name for name, field in _FIELDS.items()},
    **{field: f"relay.{name}" for name, field in RELAY_FIELDS.items()},
    **{field: f"relay.{name}_env" for name, field in RELAY_SECRETS.items()},
    "mail_use_tls": "relay.security",
    "mail_use_ssl": "relay.security",
}
_WEBHOOK = ("format", "secret_env", "secret_file", "trigger", "silence_alert")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
#: Shorter secrets can be guessed.
_MIN_SECRET_LENGTH = 16
_SETTINGS = {each.name: each.metadata for each in fields(Settings)}
_VARIABLE = re.compile(r"[A-Z][A-Z_]+[A-Z]")
_OF_VARIABLES = {_SETTINGS[field]["env"]: name for field, name in _NAMES.items()}


@dataclass(frozen=True, slots=True)
class ShopWebhook:
    """How a shop's platform posts its orders. Any of the `secrets` may sign. With `only_paid`, unpaid ones wait.

    `silence_alert` is after how many hours without a webhook somebody should look; None: never.
    """

    format: Format
    secrets: tuple[str, ...] = field(repr=False)
    only_paid: bool
    silence_alert: int | None


@dataclass(frozen=True, slots=True)
class ShopProfile:
    """A shop. `settings` are the service's, with the shop's own values; `timezone` is that of its mails' dates."""

    name: str
    settings: Settings
    timezone: str | None = None
    webhook: ShopWebhook | None = None

    def in_its_terms(self, text: str) -> str:
        """Return a sentence about the settings with the profile's names in place of the variables'."""
        return _VARIABLE.sub(lambda match: _OF_VARIABLES.get(match[0], match[0]), text)

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
        self._accounts: dict[str, str] = {}
        if not settings.shops_dir:
            return
        environ = {**read_dotenv(DOTENV), **os.environ} if environ is None else environ
        problems: list[str] = []
        for path in sorted(Path(settings.shops_dir).glob("*.toml")):
            reader = _ProfileReader(path, settings, environ)
            self.profiles[path.stem] = reader.read()
            problems += (f"{path}: {problem}" for problem in reader.problems)
        of_shops = {shop: profile.settings for shop, profile in self.profiles.items()}
        self._accounts, found = share_accounts(settings, of_shops)
        if problems := problems or found:
            raise SettingsError(problems)

    def __getitem__(self, shop: str) -> ShopProfile:
        return self.profiles.get(shop) or ShopProfile(shop, self.settings)

    def account_of(self, shop: str) -> str:
        """Return the name of the relay account through which a shop's mails are sent."""
        return self._accounts.get(shop, COMMON_ACCOUNT)

    @property
    def own_accounts(self) -> list[str]:
        """The relay accounts besides that of the settings, each by the name of the first shop that uses it."""
        return sorted(set(self._accounts.values()))


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
        self._expect_known(table, (*_FIELDS, "timezone", "relay", "webhook"))
        values = self._relay(table.get("relay"))
        for name, target in _FIELDS.items():
            text = self._text(table, name)
            if text is not None and (value := self._parsed(name, text, _SETTINGS[target]["parse"])) is not None:
                values[target] = value
        timezone = self._text(table, "timezone")
        if timezone is not None and timezone not in available_timezones():
            self.problems.append("timezone must be a time zone like Europe/Oslo")
            timezone = None
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
        known = contradictions(self._settings)
        profile = ShopProfile(self._path.stem, settings)
        self.problems += (profile.in_its_terms(each) for each in contradictions(settings) if each not in known)

    def _relay(self, table: Any) -> dict[str, Any]:
        """Return the fields of the settings that a relay of its own replaces.

        Without a relay of the service there are none: on a developer's machine all mails go to the local inbox.
        """
        if table is None or self._settings.relay is None:
            return {}
        if not isinstance(table, dict):
            self.problems.append("relay must be a table: [relay]")
            return {}
        self._expect_known(table, _RELAY, "relay.")
        values = dict(NO_RELAY)
        for name, target in RELAY_FIELDS.items():
            text = self._text({name: _number_as_text(table.get(name))}, name, "relay.")
            if text is not None and (value := self._parsed(f"relay.{name}", text, _SETTINGS[target]["parse"])):
                values[target] = value
        for name, target in RELAY_SECRETS.items():
            values[target] = self._secret(table, name)
        if not values["mail_server"] and not values["mailtrap_api_token"]:
            self.problems.append("relay.server or relay.mailtrap_token_env is missing")
        security = self._text(table, "security", "relay.") or "starttls"
        if security not in RELAY_SECURITY:
            self.problems.append(f"relay.security must be one of {', '.join(RELAY_SECURITY)}")
        return {**values, **RELAY_SECURITY.get(security, {})}

    def _secret(self, table: dict[str, Any], name: str) -> str:
        variable, path = (self._text(table, f"{name}_{place}", "relay.") for place in ("env", "file"))
        if variable is None and path is None:
            return ""
        secret = self._environ.get(variable, "") if variable is not None else self._file(path or "")
        if not secret:
            source = f"the variable {variable}" if variable is not None else f"the file {path}"
            self.problems.append(f"{source} must hold the secret of relay.{name}")
        return secret

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
        return ShopWebhook(chosen, self._secrets(table, chosen), trigger == "paid", self._silence_alert(table))

    def _silence_alert(self, table: dict[str, Any]) -> int | None:
        hours = table.get("silence_alert", self._settings.webhook_silence_alert)
        if hours is None or (type(hours) is int and hours >= 0):
            return hours or None
        self.problems.append("webhook.silence_alert must be a whole number of hours, or 0 for none")
        return None

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


def _number_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
