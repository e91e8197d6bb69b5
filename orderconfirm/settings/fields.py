"""Every environment variable of the service: its field, default and meaning."""

from __future__ import annotations

from dataclasses import dataclass

from orderconfirm.settings import values
from orderconfirm.settings.service_fields import ServiceFields
from orderconfirm.settings.values import Rate
from orderconfirm.settings.variables import setting


@dataclass(frozen=True)
class SettingsFields(ServiceFields):
    """The fields of the settings. `.env.example` lists the same variables, defaults and meanings."""

    mailtrap_api_token: str = setting(
        "MAILTRAP_API_TOKEN", "", "Mailtrap API token; mails are sent through live.smtp.mailtrap.io", secret=True
    )
    mailtrap_sandbox_user: str = setting(
        "MAILTRAP_SANDBOX_USER", "", "user name of a Mailtrap sandbox, which receives all mails"
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
        "after a connection lost at the end of a message: retry (the mail may arrive twice) or hold (a person decides)",
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
        "key that signs the sessions of the page at /outbox: 32 or more random characters, the same on all machines; "
        "production requires it with OUTBOX_PAGE; empty: a new one at each start",
        values.session_key,
        secret=True,
    )
