"""The environment variables about the processes, the API, the shops and the brand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orderconfirm.settings import values
from orderconfirm.settings.values import ApiKey, ByLanguage, Rate
from orderconfirm.settings.variables import setting

#: The folder that holds the package, the templates and `.env`.
ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class ServiceFields:
    """The fields about the processes, the API, the shops and the brand."""

    environment: str = setting(
        "APP_ENV", "development", "production refuses to start with an incomplete configuration", values.environment
    )
    host: str = setting("HOST", "", "address to listen on; empty: 127.0.0.1, in production 0.0.0.0", values.host)
    port: int = setting("PORT", 8000, "port to listen on", values.port)
    workers: int = setting("WEB_CONCURRENCY", 1, "processes that handle requests", values.positive)
    sender_role: str = setting(
        "SENDER",
        "",
        "where mails are sent: process (a separate process), thread (each web process), off (other machines), only "
        "(this service, which then takes no orders); empty: process with more than one CPU, otherwise thread",
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
    metrics_emf_namespace: str = setting(
        "METRICS_EMF_NAMESPACE",
        "orderconfirm",
        "namespace of these metrics; installations with the same one are added up",
        values.metrics_namespace,
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
        "database for accepted orders: sqlite:///file or postgresql://…",
        values.database,
        secret=True,
    )
    database_password_file: str = setting(
        "DATABASE_PASSWORD_FILE",
        "",
        "file with the password for DATABASE_URL, read for each new connection, so the password can be rotated",
    )
    allow_sqlite_on_ecs: bool = setting(
        "ALLOW_SQLITE_ON_ECS",
        False,
        "start with SQLite in an ECS task; only for a single task with the file on a persistent volume",
        values.boolean,
    )
    auto_migrate: bool = setting("AUTO_MIGRATE", True, "apply pending migrations at the start", values.boolean)

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
        "Redis that counts requests for all processes: redis://… or rediss://…; empty: each process allows its share",
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
        "SHOPS_DIR", "", "folder with a profile for each shop; empty: all shops use the settings below", values.folder
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
    merchant_copy_to: str = setting(
        "MERCHANT_COPY_TO", "", "address that gets a copy of each order's first confirmation; empty: none", str.strip
    )
    company_address: str = setting("COMPANY_ADDRESS", "", "postal address, shown in the footer")
    website_url: str = setting(
        "WEBSITE_URL", "", "the shop's website, linked in the header and the footer", values.web_url
    )
    logo_url: str = setting("LOGO_URL", "", "URL of the logo, shown in the header instead of the name", values.web_url)
    logo_dark_url: str = setting(
        "LOGO_DARK_URL",
        "",
        "URL of the logo for dark mode, which may be the same; empty: LOGO_URL on a light plate",
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
    legal_text: ByLanguage = setting(
        "LEGAL_TEXT",
        ByLanguage(),
        "legal text like terms or the right of withdrawal, above the footer",
        values.legal_text,
    )
    withdrawal_url: ByLanguage = setting(
        "WITHDRAWAL_URL",
        ByLanguage(),
        "page where customers withdraw from the contract, linked above the footer",
        values.url_by_language,
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
    callback_url: str = setting(
        "CALLBACK_URL",
        "",
        "URL to which a signed event is posted when a mail is sent, delivered, bounced or not sent; empty: none",
        values.callback_url,
    )
    callback_secrets: tuple[str, ...] = setting(
        "CALLBACK_SECRETS",
        (),
        "secrets that sign the callbacks, whsec_ and base64, separated by commas during a rotation",
        values.callback_secrets,
        secret=True,
    )
    callback_allow_private: bool = setting(
        "CALLBACK_ALLOW_PRIVATE",
        False,
        "let callbacks go to http:// and to private addresses, for a receiver in the same network",
        values.boolean,
    )
