"""The values of a provider's delivery event, cleaned. Missing or malformed values are not errors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from orderconfirm.logs import printable

#: The database's largest id.
MAX_ID = 2**63 - 1
#: Larger timestamps are in milliseconds: in seconds they would lie beyond the year 3000.
_MAX_SECONDS = 32_503_680_000


def read_text(value: Any, max_length: int) -> str | None:
    """Return a string without unprintable characters, cut to `max_length`; None if it is empty or not a string."""
    if not isinstance(value, str):
        return None
    return printable(value)[:max_length] or None


def read_name(value: Any) -> str | None:
    """Return a name that we gave to the provider, without characters that cannot be stored (NUL, lone surrogates)."""
    if not isinstance(value, str):
        return None
    return value.replace("\0", "").encode("utf-8", "ignore").decode() or None


def read_number(value: Any, maximum: int) -> int | None:
    """Return a whole number from 0 to `maximum`, given as a number or a string of digits; None for anything else."""
    digits = str(value)
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= len(str(maximum))
    return int(digits) if is_number and int(digits) <= maximum else None


def read_time(timestamp: Any) -> datetime:
    """Return the time of a timestamp in seconds, milliseconds or ISO 8601. A future or unreadable one becomes now.

    The newest event decides the delivery, so an event from the future could never be replaced.
    """
    now = datetime.now(UTC)
    try:
        seconds = float(timestamp)
        time = datetime.fromtimestamp(seconds / 1000 if seconds > _MAX_SECONDS else seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        time = _iso(timestamp) or now
    return min(time, now)


def _iso(timestamp: Any) -> datetime | None:
    try:
        time = datetime.fromisoformat(timestamp)
    except (TypeError, ValueError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
