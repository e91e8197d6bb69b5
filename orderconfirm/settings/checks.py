"""Checks of the settings as a whole: combinations that cannot work, and values that are missing."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from orderconfirm.settings.public_addresses import may_be_public

if TYPE_CHECKING:
    from orderconfirm.settings.model import Settings

#: Printable ASCII only: SMTP without SMTPUTF8 and mail headers allow nothing else.
_ADDRESS = re.compile(r"(?:(?![@<>,;\"])[!-~])+@(?:(?![@<>,;\"])[!-~])+\Z")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
#: Set by ECS in each container.
OF_ECS = "ECS_CONTAINER_METADATA_URI_V4"


def contradictions(settings: Settings) -> list[str]:
    """Return a sentence for each problem, beginning with the name of a variable."""
    return [
        *_selection_problems(settings),
        *_login_problems(settings),
        *_api_problems(settings),
        *_sender_problems(settings),
        *_callback_problems(settings),
        *_log_problems(settings),
        *_process_problems(settings),
        *_database_problems(settings),
    ]


def platform_problems(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Return a sentence like those of `contradictions` for each setting that cannot work on this platform."""
    if OF_ECS in environ and settings.database_url.startswith("sqlite") and not settings.allow_sqlite_on_ecs:
        return [
            "DATABASE_URL is a SQLite file, and a task of ECS loses its disk with all orders when it ends: set it to "
            "postgresql://…, or, if the file is on a volume that stays and one task alone uses it, set "
            "ALLOW_SQLITE_ON_ECS=true"
        ]
    return []


def _selection_problems(settings: Settings) -> list[str]:
    problems = []
    selected = [
        name
        for name, value in (
            ("MAIL_SERVER", settings.mail_server),
            ("MAILTRAP_SANDBOX_USER", settings.mailtrap_sandbox_user),
            ("MAILTRAP_API_TOKEN", settings.mailtrap_api_token),
        )
        if value
    ]
    if len(selected) > 1:
        problems.append(f"{' and '.join(selected)} each select a relay: set only one of them")
    if bool(settings.mailtrap_sandbox_user) != bool(settings.mailtrap_sandbox_password):
        problems.append("MAILTRAP_SANDBOX_USER and MAILTRAP_SANDBOX_PASSWORD belong together: set both or neither")
    if settings.mail_use_ssl and settings.mail_use_tls:
        problems.append("MAIL_USE_TLS and MAIL_USE_SSL exclude each other: choose STARTTLS or TLS from the first byte")
    if settings.is_production and settings.relay is None:
        problems.append("MAILTRAP_API_TOKEN is missing (or MAIL_SERVER): production needs a relay")
    return problems


def _login_problems(settings: Settings) -> list[str]:
    problems = []
    if bool(settings.mail_username) != bool(settings.mail_password):
        problems.append("MAIL_USERNAME and MAIL_PASSWORD belong together: set both or neither")
    if settings.mail_username == "apismtp@mailtrap.io":
        problems.append("MAIL_USERNAME joins two user names, api and smtp@mailtrap.io: use api")
    if settings.mail_username and not settings.mail_server:
        problems.append("MAIL_USERNAME is set without MAIL_SERVER: set the relay that it belongs to")
    relay = settings.relay
    if relay and relay.security == "none" and relay.password and relay.host not in _LOOPBACK:
        problems.append(
            "MAIL_USE_TLS is false, so MAIL_PASSWORD would be sent unencrypted: set it to true, or remove the password"
        )
    if settings.mail_ca_file:
        try:
            ssl.create_default_context(cafile=settings.mail_ca_file)
        except OSError:  # SSLError is a subclass
            problems.append("MAIL_CA_FILE is not a readable PEM file of certificates")
    return problems


def _api_problems(settings: Settings) -> list[str]:
    problems = []
    if settings.ratelimit_storage_url and find_spec("redis") is None:
        problems.append("RATELIMIT_STORAGE_URL needs a package that is not installed: pip install 'limits[redis]'")
    if settings.otel_endpoint and find_spec("opentelemetry") is None:
        problems.append(
            "OTEL_EXPORTER_OTLP_ENDPOINT needs packages that are not installed: "
            "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
        )
    if settings.mailtrap_webhook_secret and settings.mailtrap_headers is False:
        problems.append(
            "MAILTRAP_HEADERS is false, but MAILTRAP_WEBHOOK_SECRET is set: webhook events are matched to orders by "
            "these headers, so set it to true"
        )
    if settings.is_production and not settings.api_keys and settings.takes_orders:
        problems.append("API_KEYS is missing: production requires API keys, like shop1:long-random-key")
    if settings.is_production and settings.demo_page:
        problems.append("DEMO_PAGE is true: the compose page requires no key and is not available in production")
    if settings.is_production and settings.outbox_page and not settings.secret_key:
        problems.append(
            "SECRET_KEY is missing: OUTBOX_PAGE signs its sessions with it, so set it to a long random text"
        )
    return problems


def _sender_problems(settings: Settings) -> list[str]:
    problems = []
    if not settings.from_header and (settings.is_production or settings.relay):
        problems.append("EMAIL_SENDER is missing: set the From address of the confirmations")
    if settings.from_header and not _ADDRESS.match(settings.sender_address):
        problems.append("EMAIL_SENDER must be like orders@shop.example or Shop <orders@shop.example>")
    if settings.support_email and not _ADDRESS.match(settings.support_address):
        problems.append("SUPPORT_EMAIL must be an address like help@shop.example")
    if settings.merchant_copy_to and not _ADDRESS.match(settings.merchant_address):
        problems.append("MERCHANT_COPY_TO must be an address like sales@shop.example")
    if settings.logo_dark_url and not settings.logo_url:
        problems.append("LOGO_DARK_URL needs LOGO_URL, the logo of all other mails")
    for name, text in (("COMPANY_NAME", settings.company_name), ("EMAIL_SENDER", settings.from_header)):
        if not text.isprintable():
            problems.append(f"{name} contains a line break or another unprintable character")
    return problems


def _callback_problems(settings: Settings) -> list[str]:
    if not settings.callback_url:
        return ["CALLBACK_SECRETS is set without CALLBACK_URL"] if settings.callback_secrets else []
    problems = []
    if not settings.callback_secrets:
        problems.append("CALLBACK_SECRETS is missing: callbacks are signed, so set whsec_ and base64")
    url = urlsplit(settings.callback_url)
    if not settings.callback_allow_private and (url.scheme != "https" or not may_be_public(url.hostname or "")):
        problems.append(
            "CALLBACK_URL must be https:// and public, unless CALLBACK_ALLOW_PRIVATE=true permits other addresses"
        )
    return problems


def _log_problems(settings: Settings) -> list[str]:
    if settings.log_level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        return ["LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR"]
    return []


def _process_problems(settings: Settings) -> list[str]:
    problems = []
    if settings.templates_dir and not Path(settings.templates_dir).is_dir():
        problems.append("TEMPLATES_DIR is not a folder")
    if settings.mail_timeout >= settings.drain_seconds:
        problems.append(
            f"STOP_TIMEOUT={settings.stop_timeout} leaves {settings.drain_seconds} s to finish the mails in flight, "
            f"and MAIL_TIMEOUT={settings.mail_timeout} must be below that: raise STOP_TIMEOUT (and the platform's "
            "stopTimeout), or lower MAIL_TIMEOUT"
        )
    return problems


def _database_problems(settings: Settings) -> list[str]:
    if settings.database_password_file and not settings.database_url.startswith("postgres"):
        return ["DATABASE_PASSWORD_FILE is set, but DATABASE_URL is not postgresql://…: a file has no password"]
    return []
