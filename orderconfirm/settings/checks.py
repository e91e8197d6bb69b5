"""What each setting allows alone, but not together with the others."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orderconfirm.settings import Settings

#: Printable ASCII: neither SMTP without SMTPUTF8 nor a header carries more.
_ADDRESS = re.compile(r"(?:(?![@<>,;\"])[!-~])+@(?:(?![@<>,;\"])[!-~])+\Z")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def contradictions(settings: Settings) -> list[str]:
    """Every one of them, as a sentence that names the variables."""
    return [
        *_relay_problems(settings),
        *_sender_problems(settings),
        *_log_problems(settings),
        *_process_problems(settings),
    ]


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
    if settings.mailtrap_webhook_secret and not settings.mailtrap_headers:
        problems.append("MAILTRAP_HEADERS is false: without them no event of MAILTRAP_WEBHOOK_SECRET finds its order")
    if settings.is_production and relay is None:
        problems.append("MAILTRAP_API_TOKEN is missing (or MAIL_SERVER): production needs a relay")
    if settings.is_production and not settings.api_keys:
        problems.append("API_KEYS is missing: production answers nobody without a key, like shop1:long-random-key")
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


def _process_problems(settings: Settings) -> list[str]:
    problems = []
    if settings.is_production and settings.demo_page:
        problems.append("DEMO_PAGE is true: the demo page takes orders without a key, so production has none")
    if settings.workers > settings.mail_max_connections:
        problems.append("WEB_CONCURRENCY is above MAIL_MAX_CONNECTIONS: each worker needs a connection of its own")
    if settings.templates_dir and not Path(settings.templates_dir).is_dir():
        problems.append("TEMPLATES_DIR names no folder")
    if settings.mail_timeout >= settings.drain_seconds:
        problems.append(
            f"STOP_TIMEOUT={settings.stop_timeout} leaves {settings.drain_seconds} s to finish the mails in flight, "
            f"and MAIL_TIMEOUT={settings.mail_timeout} must be below that: raise the one (and the platform's "
            "stopTimeout with it), or lower the other"
        )
    return problems
