"""Every environment variable of the service: its field, default and meaning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orderconfirm.settings import values
from orderconfirm.settings.values import ApiKey, Rate
from orderconfirm.settings.variables import setting

#: The folder that holds the package, the templates and `.env`.
ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class SettingsFields:
    """The fields of the settings. `.env.example` lists the same variables, defaults and meanings."""

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
    build_revision: str = setting(
        "BUILD_REVISION", "", "revision of the source that this build was made from, shown in the metrics", str.strip
    )
    metrics_key: str = setting(
        "METRICS_KEY", "", "key that /metrics requires as a bearer token; empty: none", secret=True
    )
    metrics_emf: bool = setting(
        "METRICS_EMF",
        False,
        "write the metrics to stdout once a minute, in CloudWatch's embedded metric format",
        values.boolean,
    )
    otel_endpoint: str = setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "OpenTelemetry collector that traces are sent to, like http://localhost:4318; empty: none",
        values.web_url,
    )
    log_level: str = setting("LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR", str.upper)
    database_url: str = setting(
        "DATABASE_URL",
        f"sqlite:///{ROOT}/var/outbox.db",
        "database of accepted orders: sqlite:///file or postgresql://…",
        values.database,
        secret=True,
    )
    database_password_file: str = setting(
        "DATABASE_PASSWORD_FILE",
        "",
        "file with the password for DATABASE_URL, read again for each connection, so that the password can change",
    )
    allow_sqlite_on_ecs: bool = setting(
        "ALLOW_SQLITE_ON_ECS",
        False,
        "start with SQLite in a task of ECS, for example on a volume of its only machine",
        values.boolean,
    )
    auto_migrate: bool = setting("AUTO_MIGRATE", True, "bring the database up to date at the start", values.boolean)

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
    ratelimit_storage_url: str = setting(
        "RATELIMIT_STORAGE_URL",
        "",
        "Redis that counts API_RATE_LIMIT for all processes: redis://… or rediss://…; empty: each counts its own part",
        values.redis,
        secret=True,
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

    shops_dir: str = setting(
        "SHOPS_DIR", "", "folder with a profile for each shop; empty: all shops have the settings below", values.folder
    )
    webhook_silence_alert: int | None = setting(
        "WEBHOOK_SILENCE_ALERT",
        None,
        "hours without a webhook of a shop's platform after which the log and flask check name the shop; empty: never",
        values.positive,
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
    logo_dark_url: str = setting(
        "LOGO_DARK_URL",
        "",
        "logo for dark mode, which may be the same; empty: LOGO_URL on a light plate",
        values.web_url,
    )
    brand_color: str = setting(
        "BRAND_COLOR", "#1f5fbf", "colour of the button, the top border and the panel's tint, as #rrggbb", values.color
    )
    returns_url: str = setting("RETURNS_URL", "", "page about returns, linked in the footer", values.web_url)
    help_url: str = setting("HELP_URL", "", "page with help or contacts, linked in the footer", values.web_url)
    legal_notice: str = setting(
        "LEGAL_NOTICE", "", "legal form, register and VAT number of the shop, shown in the footer"
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
    mailtrap_headers: bool | None = setting(
        "MAILTRAP_HEADERS",
        None,
        "add X-MT-Category and X-MT-Custom-Variables; empty: for Mailtrap and the local inbox only",
        values.boolean,
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
        "serve the compose page at /, which requires no key; "
        "empty: served only while neither API_KEYS nor a relay is set; never in production",
        values.boolean,
    )
    outbox_page: bool | None = setting(
        "OUTBOX_PAGE",
        None,
        "serve the page at /outbox, with a login by API key if there are keys; empty: served in development only",
        values.boolean,
    )
    secret_key: str = setting(
        "SECRET_KEY",
        "",
        "signs the sessions of the page at /outbox: 32 or more random characters, the same on all machines; "
        "production requires it with OUTBOX_PAGE; empty: a new one at each start",
        values.session_key,
        secret=True,
    )
