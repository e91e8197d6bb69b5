"""The shops with a relay of their own, and which of them share an account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orderconfirm.queries import COMMON_ACCOUNT
from orderconfirm.settings import Relay, Settings

#: The field of the settings that each value of a profile's `[relay]` replaces.
RELAY_FIELDS = {
    "server": "mail_server",
    "port": "mail_port",
    "username": "mail_username",
    "ca_file": "mail_ca_file",
    "max_connections": "mail_max_connections",
    "rate_limit": "mail_rate_limit",
}
#: The same for secrets, each of which is in a variable (`…_env`) or a file (`…_file`).
RELAY_SECRETS = {"password": "mail_password", "mailtrap_token": "mailtrap_api_token"}
#: MAIL_USE_TLS and MAIL_USE_SSL for each value of `relay.security`.
RELAY_SECURITY: Mapping[str, Mapping[str, Any]] = {
    "starttls": {"mail_use_tls": True, "mail_use_ssl": False},
    "tls": {"mail_use_tls": None, "mail_use_ssl": True},
    "none": {"mail_use_tls": False, "mail_use_ssl": False},
}
#: What a profile with `[relay]` does not take from the settings, because it belongs to another account.
NO_RELAY: Mapping[str, Any] = {
    "mail_server": "",
    "mail_port": None,
    "mail_username": "",
    "mail_password": "",
    "mailtrap_api_token": "",
    "mailtrap_sandbox_user": "",
    "mailtrap_sandbox_password": "",
    "mail_rate_limit": None,
    **RELAY_SECURITY["starttls"],
}


def share_accounts(settings: Settings, of_shops: Mapping[str, Settings]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the relay account of each shop with a relay of its own, and a sentence for each shop with a problem.

    Shops with the same relay and login share an account, because the relay counts their mails together. Its name is
    that of the first shop. `settings` are the service's, `of_shops` each shop's own.
    """
    names: dict[Relay | None, str] = {settings.relay: COMMON_ACCOUNT}
    accounts: dict[str, str] = {}
    problems: dict[str, str] = {}
    for shop, own in of_shops.items():
        name = names.setdefault(own.relay, shop)
        first = of_shops[name] if name else settings
        if _limits(own) != _limits(first):
            problems[shop] = (
                f"relay has the login of {name or 'the service'}, so max_connections and rate_limit must be the same: "
                "the relay counts the mails of both together"
            )
        if name:
            accounts[shop] = name
    return accounts, problems


def _limits(settings: Settings) -> tuple[Any, ...]:
    return settings.mail_max_connections, settings.mail_rate_limit
