"""The frozen `Settings`: each field's environment variable, default and meaning, and the values derived from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orderconfirm.errors import SettingsError
from orderconfirm.models import DEFAULT_SHOP
from orderconfirm.settings import values
from orderconfirm.settings.checks import contradictions
from orderconfirm.settings.cpus import usable_cpus
from orderconfirm.settings.relay import Relay, select_relay
from orderconfirm.settings.values import ApiKey, Rate
from orderconfirm.settings.variables import read_fields, setting

#: The folder that holds the package, the templates and `.env`.
ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Settings:
    """The service's settings. `.env.example` lists the same variables, defaults and meanings."""

    environment: str = setting(
        "APP_ENV", "development", "production refuses to start with an incomplete configuration", values.environment
    )
    host: str = setting("HOST", "", "address to listen on; empty: 127.0.0.1, in production 0.0.0.0", values.host)
    port: int = setting("PORT", 8000, "port to listen on", values.port)
    workers: int = setting("WEB_CONCURRENCY", 1, "processes that handle requests", values.positive)
    sender_role: str = setting(
        "SENDER",
        "",
        "what sends: process (one of its own), thread (each web process), off (other machines), only (this service, "
        "which then takes no orders); empty: process with more than one CPU, thread with one",
        values.sender_role,
    )
    log_level: str = setting("LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR", str.upper)
    database_url: str = setting(
        "DATABASE_URL",
        f"sqlite:///{ROOT}/var/outbox.db",
        "database of accepted orders: sqlite:///file or postgresql://…",
        values.database,
        secret=True,
    )
    auto_migrate: bool = setting("AUTO_MIGRATE", True, "bring the database up to date at the start", values.boolean)

    database_password_file: str = setting(
        "DATABASE_PASSWORD_FILE",
        "",
        "file with the password for DATABASE_URL, read again for each connection, so that the password can change",
    )
    api_keys: tuple[ApiKey, ...] = setting(
        "API_KEYS",
        (),
        "API keys as shop:key, separated by commas; empty: no key is required (development only)",
        values.api_keys,
        secret=True,
    )
    api_rate_limit: Rate | None = setting(
        "API_RATE_LIMIT",
        None,
        "maximum rate of requests per shop, like 100/1s; empty: no limit",
        values.rate_of_requests,
    )
    trusted_proxies: int = setting(
        "TRUSTED_PROXIES",
        0,
        "number of proxies in front of the service; client addresses are taken from their X-Forwarded-For",
        values.proxies,
    )
    cors_origins: tuple[str, ...] = setting(
        "CORS_ORIGINS",
        (),
        "web origins whose scripts may call the API, separated by commas; empty: none",
        values.origins,
    )
    mailtrap_webhook_secret: str = setting(
        "MAILTRAP_WEBHOOK_SECRET",
        "",
        "signing secret of the Mailtrap webhook at /api/webhooks/mailtrap",
        values.signing_secret,
        secret=True,
    )

    company_name: str = setting("COMPANY_NAME", "Our Shop", "the shop's name, shown in the subject and the mail")
    from_header: str = setting(
        "EMAIL_SENDER",
        "",
        "From address: orders@shop.example, or Name <orders@shop.example>",
        alias="MAIL_DEFAULT_SENDER",
    )
    support_email: str = setting("SUPPORT_EMAIL", "", "address for replies and questions; empty: the From address")
    company_address: str = setting("COMPANY_ADDRESS", "", "postal address, shown in the footer")
    website_url: str = setting(
        "WEBSITE_URL", "", "the shop's website, linked in the header and the footer", values.web_url
    )
    logo_url: str = setting("LOGO_URL", "", "logo, shown in the header instead of the name", values.web_url)
    brand_color: str = setting(
        "BRAND_COLOR", "#1f5fbf", "colour of the button and the top border, as #rrggbb", values.color
    )
    templates_dir: str = setting(
        "TEMPLATES_DIR", "", "folder with your own templates; missing files fall back to the built-in templates"
    )
    json_ld: bool = setting("JSON_LD", True, "add the order as schema.org JSON-LD for mail programs", values.boolean)
    default_currency: str = setting(
        "DEFAULT_CURRENCY", "USD", "currency of orders that do not name one", values.currency
    )
    default_locale: str = setting("DEFAULT_LOCALE", "en", "language of orders that do not name one")
    strict_totals: bool = setting(
        "STRICT_TOTALS", False, "refuse orders whose parts do not add up to the total (422)", values.boolean
    )

    mailtrap_api_token: str = setting(
        "MAILTRAP_API_TOKEN", "", "Mailtrap API token; mails are sent through live.smtp.mailtrap.io", secret=True
    )
    mailtrap_sandbox_user: str = setting(
        "MAILTRAP_SANDBOX_USER", "", "user name of a Mailtrap sandbox; mails are sent there instead"
    )
    mailtrap_sandbox_password: str = setting(
        "MAILTRAP_SANDBOX_PASSWORD", "", "password of the Mailtrap sandbox", secret=True
    )
    mail_server: str = setting("MAIL_SERVER", "", "host name of any other SMTP relay", values.host)
    mail_port: int | None = setting(
        "MAIL_PORT", None, "port of that relay; empty: 587 with STARTTLS, 465 with TLS, 25 without", values.port
    )
    mail_username: str = setting("MAIL_USERNAME", "", "user name for that relay", str.strip)
    mail_password: str = setting("MAIL_PASSWORD", "", "password for that relay", secret=True)
    mail_use_tls: bool | None = setting(
        "MAIL_USE_TLS", None, "require STARTTLS; empty: true unless MAIL_USE_SSL is true", values.boolean
    )
    mail_use_ssl: bool = setting("MAIL_USE_SSL", False, "use TLS from the first byte (port 465)", values.boolean)
    mail_ca_file: str = setting(
        "MAIL_CA_FILE", "", "PEM file of the CA that signed the relay's certificate; empty: the system's CAs"
    )
    mail_timeout: int = setting(
        "MAIL_TIMEOUT", 15, "seconds to wait for a connection and for each reply", values.positive
    )
    mail_max_connections: int = setting(
        "MAIL_MAX_CONNECTIONS", 10, "maximum open connections to the relay, shared by all processes", values.positive
    )
    mail_max_per_connection: int = setting(
        "MAIL_MAX_PER_CONNECTION", 100, "mails sent over one connection before it is replaced", values.positive
    )
    mail_retry_delays: tuple[float, ...] = setting(
        "MAIL_RETRY_DELAYS",
        (10.0, 60.0, 300.0, 600.0, 1200.0, 2400.0, 3600.0),
        "seconds before each retry, separated by commas; the last one repeats",
        values.delays,
    )
    mail_give_up_after: int = setting(
        "MAIL_GIVE_UP_AFTER",
        172800,
        "seconds from the first attempt until an unsent mail is marked as failed",
        values.positive,
    )
    mail_unknown_outcome: str = setting(
        "MAIL_UNKNOWN_OUTCOME",
        "retry",
        "connection lost after the end of a message: retry (the mail may arrive twice) or hold (a person decides)",
        values.retry_or_hold,
    )
    mail_unknown_outcome_delay: int = setting(
        "MAIL_UNKNOWN_OUTCOME_DELAY",
        600,
        "seconds before the first retry of such a mail; doubles each time, up to an hour",
        values.positive,
    )
    mail_rate_limit: Rate | None = setting(
        "MAIL_RATE_LIMIT",
        None,
        "maximum rate of mails, like 150/10s, shared by all processes; empty: no limit",
        values.rate,
    )
    mail_login_pause: int = setting(
        "MAIL_LOGIN_PAUSE",
        60,
        "seconds between attempts while the relay refuses the login or the sender",
        values.positive,
    )
    mailtrap_headers: bool = setting(
        "MAILTRAP_HEADERS", True, "add X-MT-Category and X-MT-Custom-Variables", values.boolean
    )

    outbox_max_pending: int = setting(
        "OUTBOX_MAX_PENDING",
        100000,
        "maximum number of pending mails; further orders are refused with 503",
        values.positive,
    )
    retention_days: int = setting(
        "RETENTION_DAYS", 30, "days until the content of a finished order is deleted; its id is kept", values.positive
    )
    stop_timeout: int = setting(
        "STOP_TIMEOUT", 30, "seconds between SIGTERM and SIGKILL on your platform (ECS stopTimeout)", values.positive
    )

    demo_page: bool | None = setting(
        "DEMO_PAGE",
        None,
        "serve the demo page at /, which requires no key; "
        "empty: served only while neither API_KEYS nor a relay is set; never in production",
        values.boolean,
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Return the settings in `environ`. Raises SettingsError with all problems, each by its variable."""
        read, problems = read_fields(cls, environ)
        unreadable = {problem.split()[0] for problem in problems}
        # A variable that cannot be read keeps its default here, and must not be reported as missing too.
        problems += [problem for problem in contradictions(cls(**read)) if problem.split()[0] not in unreadable]
        if problems:
            raise SettingsError(problems)
        return cls(**read)

    @property
    def is_production(self) -> bool:
        return self.environment == "production"

    @property
    def bind(self) -> str:
        """gunicorn's host:port. Outside production the default is the loopback address."""
        host = self.host or ("0.0.0.0" if self.is_production else "127.0.0.1")  # noqa: S104
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def graceful_timeout(self) -> int:
        """Seconds until gunicorn kills a stopping worker.

        Less than STOP_TIMEOUT, after which the platform kills gunicorn itself.
        """
        return self.stop_timeout - 5

    @property
    def drain_seconds(self) -> int:
        """Seconds that the mails in flight have to finish. The worker uses the remaining time to close everything."""
        return self.graceful_timeout - 5

    @property
    def has_demo_page(self) -> bool:
        """Whether the demo page is served.

        The page shows orders and sends mails without a key. With API keys or a relay it must be requested explicitly.
        """
        if self.is_production:
            return False
        if self.demo_page is None:
            return not self.api_keys and self.relay is None
        return self.demo_page

    @property
    def demo_shop(self) -> str:
        """The shop that owns the demo page's orders: the shop of the first API key."""
        return self.api_keys[0].shop if self.api_keys else DEFAULT_SHOP

    @property
    def has_local_inbox(self) -> bool:
        """Whether mails stay on this machine, readable at /inbox, because no relay is configured."""
        return self.relay is None

    @property
    def sender_address(self) -> str:
        """The From address without a name."""
        return self.from_header.rpartition("<")[2].rstrip("> ") if self.from_header else "orders@shop.example"

    @property
    def sender_name(self) -> str:
        """The From name: the name in EMAIL_SENDER, or the company's."""
        name = self.from_header.rpartition("<")[0].strip()
        is_quoted = len(name) > 1 and name[0] == name[-1] == '"'
        return (name[1:-1] if is_quoted else name) or self.company_name

    @property
    def support_address(self) -> str:
        return self.support_email or self.sender_address

    @property
    def has_sender_process(self) -> bool:
        """Whether one process sends the mails of all others."""
        return self.sender_role == "process" if self.sender_role else usable_cpus() > 1

    @property
    def takes_orders(self) -> bool:
        """Whether the service has an API and pages, beside its health checks."""
        return self.sender_role != "only"

    @property
    def processes(self) -> int:
        """How many worker processes the service has."""
        return self.workers + self.has_sender_process if self.takes_orders else 1

    @property
    def max_send_seconds(self) -> int:
        """The maximum duration of a send.

        That is 4 x MAIL_TIMEOUT until the end of the message, and as long again for the reply to it.
        """
        return 8 * self.mail_timeout

    @property
    def lease_seconds(self) -> int:
        """The lease of a claimed mail: the longest send, plus 4 x MAIL_TIMEOUT in which it may wait for a thread."""
        return self.max_send_seconds + 4 * self.mail_timeout

    @property
    def relay(self) -> Relay | None:
        """The relay that mails are sent to, or None when no relay is configured."""
        return select_relay(self)
