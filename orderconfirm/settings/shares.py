"""One sending process's share of the relay's limits, which hold for all of them together."""

from __future__ import annotations

from orderconfirm.settings.model import Settings
from orderconfirm.settings.values import Rate


def connections(settings: Settings) -> int:
    """Return the share of MAIL_MAX_CONNECTIONS."""
    return settings.mail_max_connections // settings.senders


def rate(settings: Settings) -> Rate | None:
    """Return the share of MAIL_RATE_LIMIT: over a longer time where it would be less than one mail."""
    total = settings.mail_rate_limit
    if total is None:
        return None
    share = total.count // settings.senders
    return Rate(share, total.seconds) if share else Rate(1, total.seconds * settings.senders / total.count)


def login_pause(settings: Settings) -> int:
    """Return the seconds between one process's login attempts, so that all together keep to MAIL_LOGIN_PAUSE."""
    return settings.mail_login_pause * settings.senders
