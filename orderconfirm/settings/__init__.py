"""The environment, read once into a frozen `Settings`; whatever is wrong with it stops the start by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from secrets import token_bytes
from typing import Any

from orderconfirm.errors import SettingsError
from orderconfirm.models import DEFAULT_SHOP
from orderconfirm.settings import dotenv_file, values
from orderconfirm.settings.checks import contradictions
from orderconfirm.settings.names import doubts
from orderconfirm.settings.values import ApiKey, Rate

ROOT = Path(__file__).resolve().parent.parent.parent
#: Signs the demo page's cookie. gunicorn's master makes it when it reads the settings, and the fork gives each worker
#: the same one; it ends with the master.
SECRET_KEY = token_bytes(32)


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

    environment: str = _setting(
        "APP_ENV", "development", "production refuses to start half configured", values.environment
    )
    host: str = _setting("HOST", "", "address to listen on; empty: 127.0.0.1, in production 0.0.0.0", values.host)
    port: int = _setting("PORT", 8000, "port to listen on", values.port)
    workers: int = _setting("WEB_CONCURRENCY", 1, "gunicorn worker processes", values.positive)
    log_level: str = _setting("LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR", str.upper)
    database_url: str = _setting(
        "DATABASE_URL",
        f"sqlite:///{ROOT}/var/outbox.db",
        "where accepted orders wait: sqlite:///file or postgresql://…",
        values.database,
        secret=True,
    )

    api_keys: tuple[ApiKey, ...] = _setting(
        "API_KEYS",
        (),
        "who may use the API: shop:key, several with commas; empty: anyone, in development only",
        values.api_keys,
        secret=True,
    )
    api_rate_limit: Rate | None = _setting(
        "API_RATE_LIMIT",
        None,
        "requests in a time for each shop, like 100/1s; empty: no limit",
        values.rate_of_requests,
    )
    trusted_proxies: int = _setting(
        "TRUSTED_PROXIES",
        0,
        "load balancers before the service: callers are known by the addresses that these give in X-Forwarded-For",
        values.proxies,
    )
    cors_origins: tuple[str, ...] = _setting(
        "CORS_ORIGINS", (), "web origins whose scripts may call the API; empty: none", values.origins
    )
    mailtrap_webhook_secret: str = _setting(
        "MAILTRAP_WEBHOOK_SECRET",
        "",
        "signing secret of the webhook at /api/webhooks/mailtrap",
        values.signing_secret,
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
    website_url: str = _setting("WEBSITE_URL", "", "the shop's site, in the footer", values.web_url)
    logo_url: str = _setting("LOGO_URL", "", "picture at the top instead of the name", values.web_url)
    brand_color: str = _setting("BRAND_COLOR", "#1f5fbf", "colour of the button, as #rrggbb", values.color)
    templates_dir: str = _setting("TEMPLATES_DIR", "", "folder of your own templates; what it lacks is taken from ours")
    json_ld: bool = _setting("JSON_LD", True, "tell mail programs the order as schema.org JSON-LD", values.boolean)
    default_currency: str = _setting("DEFAULT_CURRENCY", "USD", "currency of an order that names none", values.currency)
    default_locale: str = _setting("DEFAULT_LOCALE", "en", "language of an order that names none")
    strict_totals: bool = _setting(
        "STRICT_TOTALS", False, "refuse orders whose total does not add up (422)", values.boolean
    )

    mailtrap_api_token: str = _setting(
        "MAILTRAP_API_TOKEN", "", "send through live.smtp.mailtrap.io with this token", secret=True
    )
    mailtrap_sandbox_user: str = _setting(
        "MAILTRAP_SANDBOX_USER", "", "send into a Mailtrap sandbox instead: its user…"
    )
    mailtrap_sandbox_password: str = _setting("MAILTRAP_SANDBOX_PASSWORD", "", "…and its password", secret=True)
    mail_server: str = _setting("MAIL_SERVER", "", "any other SMTP relay: its host", values.host)
    mail_port: int | None = _setting("MAIL_PORT", None, "its port; empty: 587, 465 or 25 by its security", values.port)
    mail_username: str = _setting("MAIL_USERNAME", "", "its user", str.strip)
    mail_password: str = _setting("MAIL_PASSWORD", "", "its password", secret=True)
    mail_use_tls: bool | None = _setting(
        "MAIL_USE_TLS", None, "demand STARTTLS; empty: true unless MAIL_USE_SSL", values.boolean
    )
    mail_use_ssl: bool = _setting("MAIL_USE_SSL", False, "TLS from the first byte (port 465)", values.boolean)
    mail_ca_file: str = _setting("MAIL_CA_FILE", "", "PEM file of the CA that signed the relay's certificate")
    mail_timeout: int = _setting(
        "MAIL_TIMEOUT", 15, "seconds to wait for a connection and for each reply", values.positive
    )
    mail_max_connections: int = _setting(
        "MAIL_MAX_CONNECTIONS", 10, "open connections to the relay, over all workers", values.positive
    )
    mail_max_per_connection: int = _setting(
        "MAIL_MAX_PER_CONNECTION", 100, "mails sent over one connection before it is renewed", values.positive
    )
    mail_retry_delays: tuple[float, ...] = _setting(
        "MAIL_RETRY_DELAYS",
        (10.0, 60.0, 300.0, 600.0, 1200.0, 2400.0, 3600.0),
        "seconds before each new try; the last one repeats",
        values.delays,
    )
    mail_give_up_after: int = _setting(
        "MAIL_GIVE_UP_AFTER", 172800, "seconds until an order that never got through has failed", values.positive
    )
    mail_unknown_outcome: str = _setting(
        "MAIL_UNKNOWN_OUTCOME",
        "retry",
        "when contact was lost after the final dot: retry (it may arrive twice), or hold for a person",
        values.retry_or_hold,
    )
    mail_unknown_outcome_delay: int = _setting(
        "MAIL_UNKNOWN_OUTCOME_DELAY",
        600,
        "seconds before such a mail is sent again; each further time it doubles, up to an hour",
        values.positive,
    )
    mail_rate_limit: Rate | None = _setting(
        "MAIL_RATE_LIMIT",
        None,
        "mails in a time, like 150/10s, over all workers; empty: as fast as it takes them",
        values.rate,
    )
    mail_login_pause: int = _setting(
        "MAIL_LOGIN_PAUSE", 60, "seconds between tries while the relay refuses login or sender", values.positive
    )
    mailtrap_headers: bool = _setting(
        "MAILTRAP_HEADERS", True, "add X-MT-Category and X-MT-Custom-Variables", values.boolean
    )

    outbox_max_pending: int = _setting(
        "OUTBOX_MAX_PENDING", 100000, "mails that may wait; beyond, orders are answered with 503", values.positive
    )
    retention_days: int = _setting(
        "RETENTION_DAYS", 30, "days until the content of a finished order is deleted; its id stays", values.positive
    )
    stop_timeout: int = _setting(
        "STOP_TIMEOUT", 30, "seconds from SIGTERM to SIGKILL on your platform (ECS stopTimeout)", values.positive
    )

    demo_page: bool | None = _setting(
        "DEMO_PAGE",
        None,
        "serve the demo page at /, which needs no key; empty: true without API_KEYS and relay; production has none",
        values.boolean,
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read every setting from `environ`; raises SettingsError with all that is wrong, each by its variable."""
        read: dict[str, Any] = {}
        problems: list[str] = []
        for each in fields(cls):
            try:
                text = _lookup(environ, each)
                if text:
                    read[each.name] = each.metadata["parse"](text)
            except ValueError as exc:
                problems.append(f"{each.metadata['env']} {exc}")
        named = {problem.split()[0] for problem in problems}
        # What is wrong is not missing as well.
        problems += [found for found in contradictions(cls(**read)) if found.split()[0] not in named]
        if problems:
            raise SettingsError(problems)
        return cls(**read)

    @property
    def is_production(self) -> bool:
        return self.environment == "production"

    @property
    def bind(self) -> str:
        """host:port for gunicorn; a development server listens on this machine only."""
        host = self.host or ("0.0.0.0" if self.is_production else "127.0.0.1")  # noqa: S104
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def graceful_timeout(self) -> int:
        """Seconds that gunicorn gives its workers to end: the platform must not kill it before."""
        return self.stop_timeout - 5

    @property
    def drain_seconds(self) -> int:
        """Seconds that the mails in flight have to finish, which leaves the worker some to close what is open."""
        return self.graceful_timeout - 5

    @property
    def has_demo_page(self) -> bool:
        """Whoever finds the page reads the shop's orders and mails anyone: in earnest it must be asked for."""
        if self.is_production:
            return False
        if self.demo_page is None:
            return not self.api_keys and self.relay is None
        return self.demo_page

    @property
    def demo_shop(self) -> str:
        """Whose the demo page's orders are: the first key's."""
        return self.api_keys[0].shop if self.api_keys else DEFAULT_SHOP

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
        return self.mail_max_connections // self.workers

    @property
    def rate_per_worker(self) -> Rate | None:
        """This process's share of MAIL_RATE_LIMIT; stretched in time where less than one mail would be left."""
        whole = self.mail_rate_limit
        if whole is None:
            return None
        share = whole.count // self.workers
        return Rate(share, whole.seconds) if share else Rate(1, whole.seconds * self.workers / whole.count)

    @property
    def login_pause_per_worker(self) -> int:
        """Each worker tries on its own: together they keep to MAIL_LOGIN_PAUSE."""
        return self.mail_login_pause * self.workers

    @property
    def lease_seconds(self) -> int:
        """How long a claimed mail is one process's own: longer than the longest send.

        A send has 4 x MAIL_TIMEOUT until the final dot leaves and as much again for the reply to it.
        """
        return 12 * self.mail_timeout

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
    return Settings.from_env({**dotenv_file.read(dotenv, _known_names()), **environ})


def unknown_names(environ: Iterable[str]) -> list[str]:
    """A sentence for each name in the environment that looks like a setting and is none."""
    return [f"{name} {doubt}" for name, doubt in doubts(environ, _known_names(), is_shared=True).items()]


def _known_names() -> set[str]:
    known = set()
    for each in fields(Settings):
        name, alias = each.metadata["env"], each.metadata["alias"]
        known |= {name, *([alias] if alias else []), *([f"{name}_FILE"] if each.metadata["secret"] else [])}
    return known


def _lookup(environ: Mapping[str, str], each: Field[Any]) -> str:
    name, alias = each.metadata["env"], each.metadata["alias"]
    text = environ.get(name) or (environ.get(alias, "") if alias else "")
    path = environ.get(f"{name}_FILE", "") if each.metadata["secret"] else ""
    if path and not text:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise ValueError(f"cannot be read: {name}_FILE: {type(exc).__name__}") from None
    return text.strip()
