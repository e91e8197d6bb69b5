"""Times and durations as the pages print them."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def duration(seconds: float) -> str:
    """Return a duration in its largest unit, rounded down: `3 min`, `2 h`, `12 s`."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s" if seconds >= 1 else f"{seconds:.2f} s"


def ago(at: datetime) -> str:
    """Return how long ago a time was, or in how long it will be."""
    seconds = (datetime.now(UTC) - at).total_seconds()
    if seconds < -1:
        return f"in {duration(-seconds)}"
    return "now" if seconds < 1 else f"{duration(seconds)} ago"
