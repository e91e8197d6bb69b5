"""Shop profiles: one TOML file a shop in SHOPS_DIR, whose values take the place of the service's settings."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from orderconfirm.errors import SettingsError
from orderconfirm.platforms import FORMATS, Format
from orderconfirm.platforms.signatures import standard_key
from orderconfirm.queries import COMMON_ACCOUNT
from orderconfirm.settings import DOTENV, Settings, contradictions, read_dotenv
from orderconfirm.settings.values import callback_secret, callback_url
from orderconfirm.shops.profile_file import ProfileFile
from orderconfirm.shops.relays import NO_RELAY, RELAY_FIELDS, RELAY_SECRETS, RELAY_SECURITY, share_accounts
from orderconfirm.shops.texts import BY_LANGUAGE, texts_by_language

#: The field of the settings that each value of a profile replaces.
_FIELDS = {
    "name": "company_name",
    "sender": "from_header",
    "reply_to": "support_email",
    "merchant_copy_to": "merchant_copy_to",
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
    "callback_url": "callback.url",
    "callback_secrets": "callback.secret_env",
}
_WEBHOOK = ("format", "secret_env", "secret_file", "trigger", "silence_alert")
_CALLBACK = ("url", "secret_env", "secret_file")
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
        folder = Path(settings.shops_dir)
        for path in sorted(folder.glob("*.toml")):
            reader = _ProfileReader(path, settings, environ)
            self.profiles[path.stem] = reader.read()
            problems += (f"{path}: {problem}" for problem in reader.problems)
        of_shops = {shop: profile.settings for shop, profile in self.profiles.items()}
        self._accounts, found = share_accounts(settings, of_shops)
        if problems := problems or [f"{folder / shop}.toml: {problem}" for shop, problem in found.items()]:
            raise SettingsError(problems)

    def __getitem__(self, shop: str) -> ShopProfile:
        return self.profiles.get(shop) or ShopProfile(shop, self.settings)

    def has_callback(self, shop: str) -> bool:
        """Whether the events of this shop's mails are posted to it."""
        return bool(self[shop].settings.callback_url)

    def callback_urls(self, shop: str | None = None) -> set[str]:
        """Return the URL to which the events of one shop are posted, or those of all shops."""
        chosen = [self[shop]] if shop is not None else [ShopProfile("", self.settings), *self.profiles.values()]
        return {url for each in chosen if (url := each.settings.callback_url)}

    def account_of(self, shop: str) -> str:
        """Return the name of the relay account through which a shop's mails are sent."""
        return self._accounts.get(shop, COMMON_ACCOUNT)

    @property
    def own_accounts(self) -> list[str]:
        """The relay accounts besides that of the settings, each by the name of the first shop that uses it."""
        return sorted(set(self._accounts.values()))


class _ProfileReader(ProfileFile):
    """Reads one file and collects its problems."""

    def __init__(self, path: Path, settings: Settings, environ: Mapping[str, str]) -> None:
        super().__init__(path, environ)
        self._settings = settings

    def read(self) -> ShopProfile:
        table = self._load()
        if not _NAME.match(self._path.stem):
            self.problems.append("the file's name is the shop's: up to 64 letters, digits, - and _, like fjord.toml")
        self._expect_known(table, (*_FIELDS, *BY_LANGUAGE, "timezone", "relay", "webhook", "callback"))
        values = self._relay(table.get("relay"))
        for name, target in _FIELDS.items():
            text = self._text(table, name)
            if text is not None and (value := self._parsed(name, text, _SETTINGS[target]["parse"])) is not None:
                values[target] = value
        texts, problems = texts_by_language(table, self._settings)
        values |= texts
        self.problems += problems
        timezone = self._text(table, "timezone")
        if timezone is not None and timezone not in available_timezones():
            self.problems.append("timezone must be a time zone like Europe/Oslo")
            timezone = None
        values |= self._callback(table.get("callback"))
        settings = replace(self._settings, **values)
        self._check(settings)
        return ShopProfile(self._path.stem, settings, timezone, self._webhook(table.get("webhook")))

    def _check(self, settings: Settings) -> None:
        """Add the contradictions that the shop's own values cause, with its names in place of the variables'."""
        known = contradictions(self._settings)
        profile = ShopProfile(self._path.stem, settings)
        self.problems += (profile.in_its_terms(each) for each in contradictions(settings) if each not in known)

    def _relay(self, table: Any) -> dict[str, Any]:
        """Return the fields of the settings that a relay of its own replaces.

        Without a relay of the service there are none: on a developer's machine all mails go to the local inbox.
        """
        if self._settings.relay is None or not self._is_section("relay", table, _RELAY):
            return {}
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
        secrets = self._secrets("webhook", table, parse)
        return ShopWebhook(chosen, secrets, trigger == "paid", self._silence_alert(table))

    def _silence_alert(self, table: dict[str, Any]) -> int | None:
        hours = table.get("silence_alert", self._settings.webhook_silence_alert)
        if hours is None or (type(hours) is int and hours >= 0):
            return hours or None
        self.problems.append("webhook.silence_alert must be a whole number of hours, or 0 for none")
        return None

    def _callback(self, table: Any) -> dict[str, Any]:
        """Return the fields of the settings that the shop's callback replaces."""
        if not self._is_section("callback", table, _CALLBACK):
            return {}
        secrets = self._secrets("callback", table, callback_secret)
        url = self._parsed("callback.url", self._text(table, "url", "callback.") or "", callback_url)
        return {"callback_url": url, "callback_secrets": secrets} if url and secrets else {}


def _secret(text: str) -> str:
    if len(text) < _MIN_SECRET_LENGTH:
        raise ValueError(f"must hold a secret of at least {_MIN_SECRET_LENGTH} characters")
    return text


def _standard_secret(text: str) -> bytes:
    return standard_key(_secret(text))


def _number_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
