"""The values of a provider's delivery event, cleaned. Missing and odd values are no error."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from orderconfirm.logs import printable

#: The database's largest id.
MAX_ID = 2**63 - 1
#: Larger timestamps are in milliseconds: in seconds they would lie beyond the year 3000.
_MAX_SECONDS = 32_503_680_000


def read_text(value: Any, max_length: int) -> str | None:
    """Return a text without unprintable characters, cut to `max_length`; None for an empty one or anything else."""
    if not isinstance(value, str):
        return None
    return printable(value)[:max_length] or None


def read_name(value: Any) -> str | None:
    """Return a name that we gave to the provider, without characters that cannot be stored (NUL, lone surrogates)."""
    if not isinstance(value, str):
        return None
    return value.replace("\0", "").encode("utf-8", "ignore").decode() or None


def read_number(value: Any, maximum: int) -> int | None:
    """Return a whole number from 0 to `maximum`, also of a text of digits; None for anything else."""
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
        moment = datetime.fromtimestamp(seconds / 1000 if seconds > _MAX_SECONDS else seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        moment = _iso(timestamp) or now
    return min(moment, now)


def _iso(timestamp: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(timestamp)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
