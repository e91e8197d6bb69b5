"""The environment, read once into a frozen `Settings`; whatever is wrong with it stops the start by name."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values

from orderconfirm.errors import SettingsError

ROOT = Path(__file__).resolve().parent.parent

_COLOR = re.compile(r"#[0-9a-fA-F]{6}\Z")
#: Printable ASCII: neither SMTP without SMTPUTF8 nor a header carries more.
_ADDRESS = re.compile(r"(?:(?![@<>,;\"])[!-~])+@(?:(?![@<>,;\"])[!-~])+\Z")
#: No number of seconds, mails or ports that anyone means is larger, and timers take no more.
_LARGEST = 10**8
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError("must be true or false")


def _database(text: str) -> str:
    if not re.match(r"sqlite:///.|postgres(?:ql)?(?:\+psycopg)?://.", text):
        raise ValueError("must be sqlite:///file or postgresql://…")
    try:
        urlsplit(text).port  # noqa: B018 - reading it checks it
    except ValueError:
        raise ValueError("has a port that is no number") from None
    return text


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f.]*", text):
        raise ValueError("must be a host name or address alone, without a port or http://")
    return text


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise ValueError("must be a whole number") from None
    if not 1 <= number <= _LARGEST:
        raise ValueError(f"must be from 1 to {_LARGEST}")
    return number


def _port(text: str) -> int:
    number = _positive(text)
    if number > 65535:
        raise ValueError("must be a port, 1 to 65535")
    return number


def _color(text: str) -> str:
    if not _COLOR.match(text):
        raise ValueError("must be a colour like #0b5fff")
    return text.lower()


def _currency(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{3}", text):
        raise ValueError("must be a three-letter currency code like USD")
    return text.upper()


def _web_url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/]\S*", text):
        raise ValueError("must start with https:// or http://")
    return text


def _delays(text: str) -> tuple[float, ...]:
    try:
        delays = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError("must be seconds with commas between them, like 10,60,300") from None
    if not all(0 < delay < 1e7 for delay in delays):
        raise ValueError("must be seconds above 0")
    return delays


def _environment(text: str) -> str:
    if text not in ("development", "production"):
        raise ValueError("must be development or production")
    return text


def _setting(
    name: str, default: Any, meaning: str, parse: Callable[[str], Any] = str, secret: bool = False, alias: str = ""
) -> Any:
    """A field read from variable `name` (or `alias`); a secret may also come from the file that `name`_FILE names."""
    metadata = {"env": name, "meaning": meaning, "parse": parse, "secret": secret, "alias": alias}
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, slots=True)
class Relay:
    """The SMTP server that takes the mails. `security` is starttls, tls or none."""

    host: str
    port: int
    security: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None


@dataclass(frozen=True)
class Settings:
    """All that can be set. Each field's variable, default and meaning stand here and, for people, in .env.example."""

    environment: str = _setting("APP_ENV", "development", "production refuses to start half configured", _environment)
    host: str = _setting("HOST", "", "address to listen on; empty: 127.0.0.1, in production 0.0.0.0", _host)
    port: int = _setting("PORT", 8000, "port to listen on", _port)
    workers: int = _setting("WEB_CONCURRENCY", 1, "gunicorn worker processes", _positive)
    log_level: str = _setting("LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR", str.upper)
    database_url: str = _setting(
        "DATABASE_URL",
        f"sqlite:///{ROOT}/var/outbox.db",
        "where accepted orders wait: sqlite:///file or postgresql://…",
        _database,
        secret=True,
    )

    company_name: str = _setting("COMPANY_NAME", "Our Shop", "the shop's name, in the subject and the mail")
    sender: str = _setting(
        "EMAIL_SENDER",
        "",
        "From address: orders@shop.example, or Name <orders@shop.example>",
        alias="MAIL_DEFAULT_SENDER",
    )
    support_email: str = _setting("SUPPORT_EMAIL", "", "where replies go; empty: the sender")
    company_address: str = _setting("COMPANY_ADDRESS", "", "postal address in the footer")
    website_url: str = _setting("WEBSITE_URL", "", "the shop's site, in the footer", _web_url)
    logo_url: str = _setting("LOGO_URL", "", "picture at the top instead of the name", _web_url)
    brand_color: str = _setting("BRAND_COLOR", "#1f5fbf", "colour of the button, as #rrggbb", _color)
    default_currency: str = _setting("DEFAULT_CURRENCY", "USD", "currency of an order that names none", _currency)
    default_locale: str = _setting("DEFAULT_LOCALE", "en", "language of an order that names none")
    strict_totals: bool = _setting("STRICT_TOTALS", False, "refuse orders whose total does not add up (422)", _boolean)

    mailtrap_api_token: str = _setting(
        "MAILTRAP_API_TOKEN", "", "send through live.smtp.mailtrap.io with this token", secret=True
    )
    mailtrap_sandbox_user: str = _setting(
        "MAILTRAP_SANDBOX_USER", "", "send into a Mailtrap sandbox instead: its user…"
    )
    mailtrap_sandbox_password: str = _setting("MAILTRAP_SANDBOX_PASSWORD", "", "…and its password", secret=True)
    mail_server: str = _setting("MAIL_SERVER", "", "any other SMTP relay: its host", _host)
    mail_port: int | None = _setting("MAIL_PORT", None, "its port; empty: 587, 465 or 25 by its security", _port)
    mail_username: str = _setting("MAIL_USERNAME", "", "its user", str.strip)
    mail_password: str = _setting("MAIL_PASSWORD", "", "its password", secret=True)
    mail_use_tls: bool | None = _setting(
        "MAIL_USE_TLS", None, "demand STARTTLS; empty: true unless MAIL_USE_SSL", _boolean
    )
    mail_use_ssl: bool = _setting("MAIL_USE_SSL", False, "TLS from the first byte (port 465)", _boolean)
    mail_ca_file: str = _setting("MAIL_CA_FILE", "", "PEM file of the CA that signed the relay's certificate")
    mail_timeout: int = _setting("MAIL_TIMEOUT", 15, "seconds to wait for a connection and for each reply", _positive)
    mail_max_connections: int = _setting(
        "MAIL_MAX_CONNECTIONS", 10, "open connections to the relay, over all workers", _positive
    )
    mail_max_per_connection: int = _setting(
        "MAIL_MAX_PER_CONNECTION", 100, "mails sent over one connection before it is renewed", _positive
    )
    mail_retry_delays: tuple[float, ...] = _setting(
        "MAIL_RETRY_DELAYS",
        (10.0, 60.0, 300.0, 600.0, 1200.0, 2400.0, 3600.0),
        "seconds before each new try; the last one repeats",
        _delays,
    )
    mail_give_up_after: int = _setting(
        "MAIL_GIVE_UP_AFTER", 172800, "seconds until an order that never got through has failed", _positive
    )
    mailtrap_headers: bool = _setting("MAILTRAP_HEADERS", True, "add X-MT-Category and X-MT-Custom-Variables", _boolean)

    demo_page: bool | None = _setting(
        "DEMO_PAGE", None, "serve the demo page at /; empty: only in development", _boolean
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read every setting from `environ`; raises SettingsError with all that is wrong, each by its variable."""
        values: dict[str, Any] = {}
        problems: list[str] = []
        for each in fields(cls):
            try:
                text = _lookup(environ, each)
                if text:
                    values[each.name] = each.metadata["parse"](text)
            except ValueError as wrong:
                problems.append(f"{each.metadata['env']} {wrong}")
        settings = cls(**values)
        problems += _contradictions(settings)
        if problems:
            raise SettingsError(problems)
        return settings

    @property
    def is_production(self) -> bool:
        return self.environment == "production"

    @property
    def bind(self) -> str:
        """host:port for gunicorn; a development server listens on this machine only."""
        host = self.host or ("0.0.0.0" if self.is_production else "127.0.0.1")  # noqa: S104
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def has_demo_page(self) -> bool:
        return not self.is_production if self.demo_page is None else self.demo_page

    @property
    def has_local_inbox(self) -> bool:
        """True when no relay is configured: mails then stay on this machine, readable at /inbox."""
        return self.relay is None

    @property
    def sender_address(self) -> str:
        """The bare From address."""
        return self.sender.rpartition("<")[2].rstrip("> ") if self.sender else "orders@shop.example"

    @property
    def sender_name(self) -> str:
        """The name beside it: the one in EMAIL_SENDER, else the company's."""
        name = self.sender.rpartition("<")[0].strip()
        is_quoted = len(name) > 1 and name[0] == name[-1] == '"'
        return (name[1:-1] if is_quoted else name) or self.company_name

    @property
    def support_address(self) -> str:
        return self.support_email or self.sender_address

    @property
    def connections_per_worker(self) -> int:
        """This process's share of MAIL_MAX_CONNECTIONS, which holds for all workers together."""
        return max(1, self.mail_max_connections // self.workers)

    @property
    def relay(self) -> Relay | None:
        """Where mails go; None: nothing is configured. Hosts and ports: Mailtrap's SMTP documentation."""
        ca_file = self.mail_ca_file or None
        if self.mail_server:
            return self._other_relay(ca_file)
        if self.mailtrap_sandbox_user:
            return Relay(
                host="sandbox.smtp.mailtrap.io",
                port=2525,
                security="starttls",
                username=self.mailtrap_sandbox_user,
                password=self.mailtrap_sandbox_password,
                ca_file=ca_file,
            )
        if self.mailtrap_api_token:
            return Relay("live.smtp.mailtrap.io", 587, "starttls", "api", self.mailtrap_api_token, ca_file)
        return None

    def _other_relay(self, ca_file: str | None) -> Relay:
        if self.mail_use_ssl:
            security, port = "tls", 465
        elif self.mail_use_tls is False:
            security, port = "none", 25
        else:
            security, port = "starttls", 587
        return Relay(
            self.mail_server,
            self.mail_port or port,
            security,
            self.mail_username or None,
            self.mail_password or None,
            ca_file,
        )


def load_environment(environ: Mapping[str, str], dotenv: Path = ROOT / ".env") -> Settings:
    """Settings from `environ`, with what it lacks taken from the `.env` file beside the project."""
    try:
        from_file = {name: text for name, text in dotenv_values(dotenv).items() if text is not None}
    except (UnicodeDecodeError, OSError) as wrong:
        raise SettingsError([f"{dotenv.name} cannot be read as UTF-8 text"]) from wrong
    return Settings.from_env({**from_file, **environ})


def _lookup(environ: Mapping[str, str], each: Field[Any]) -> str:
    name, alias = each.metadata["env"], each.metadata["alias"]
    text = environ.get(name) or (environ.get(alias, "") if alias else "")
    path = environ.get(f"{name}_FILE", "") if each.metadata["secret"] else ""
    if path and not text:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as wrong:
            raise ValueError(f"cannot be read: {name}_FILE: {type(wrong).__name__}") from None
    return text.strip()


def _contradictions(settings: Settings) -> list[str]:
    """What each value allows alone, but not together with the others."""
    return [*_relay_problems(settings), *_sender_problems(settings), *_log_problems(settings)]


def _relay_problems(settings: Settings) -> list[str]:
    problems = []
    named = [
        name
        for name, value in (
            ("MAIL_SERVER", settings.mail_server),
            ("MAILTRAP_SANDBOX_USER", settings.mailtrap_sandbox_user),
            ("MAILTRAP_API_TOKEN", settings.mailtrap_api_token),
        )
        if value
    ]
    if len(named) > 1:
        problems.append(f"{' and '.join(named)} each name a relay: keep the one that is meant")
    if bool(settings.mailtrap_sandbox_user) != bool(settings.mailtrap_sandbox_password):
        problems.append("MAILTRAP_SANDBOX_USER and MAILTRAP_SANDBOX_PASSWORD go together: set both or none")
    if bool(settings.mail_username) != bool(settings.mail_password):
        problems.append("MAIL_USERNAME and MAIL_PASSWORD go together: set both or none")
    if settings.mail_username == "apismtp@mailtrap.io":
        problems.append("MAIL_USERNAME is two user names in one: use api")
    if settings.mail_use_ssl and settings.mail_use_tls:
        problems.append("MAIL_USE_TLS and MAIL_USE_SSL exclude each other: STARTTLS, or TLS from the first byte")
    relay = settings.relay
    if relay and relay.security == "none" and relay.password and relay.host not in _LOOPBACK:
        problems.append("MAIL_USE_TLS is false: MAIL_PASSWORD would cross the network in clear")
    if settings.mail_ca_file:
        try:
            ssl.create_default_context(cafile=settings.mail_ca_file)
        except OSError:  # which SSLError is too
            problems.append("MAIL_CA_FILE names no readable PEM file of certificates")
    if settings.mail_username and not settings.mail_server:
        problems.append("MAIL_USERNAME is set without MAIL_SERVER: name the relay it is for")
    if settings.is_production and relay is None:
        problems.append("MAILTRAP_API_TOKEN is missing (or MAIL_SERVER): production needs a relay")
    return problems


def _sender_problems(settings: Settings) -> list[str]:
    problems = []
    if not settings.sender and (settings.is_production or settings.relay):
        problems.append("EMAIL_SENDER is missing: the address that confirmations come from")
    if settings.sender and not _ADDRESS.match(settings.sender_address):
        problems.append("EMAIL_SENDER must be like orders@shop.example or Shop <orders@shop.example>")
    if settings.support_email and not _ADDRESS.match(settings.support_email):
        problems.append("SUPPORT_EMAIL must be an address like help@shop.example")
    for name, text in (("COMPANY_NAME", settings.company_name), ("EMAIL_SENDER", settings.sender)):
        if not text.isprintable():
            problems.append(f"{name} has a line break or a control character")
    return problems


def _log_problems(settings: Settings) -> list[str]:
    if settings.log_level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        return ["LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR"]
    return []
