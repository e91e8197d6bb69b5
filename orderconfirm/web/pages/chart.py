"""The bars of a chart in SVG, and the same in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: The drawing's height and the width of a bar with its gap, in SVG units.
HEIGHT = 48
STEP = 5
MINUTES = 60


@dataclass(frozen=True, slots=True)
class Bar:
    x: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of counts a minute. `time` is how long it reaches back, `description` its text alternative."""

    bars: tuple[Bar, ...]
    total: int
    highest: int
    time: str
    description: str


def draw(counts: Sequence[int]) -> Chart:
    """Return the chart of the last minutes, at most MINUTES, whose newest comes last and is not over yet."""
    time = "the last hour" if len(counts) == MINUTES else f"the last {len(counts)} minutes"
    highest = max(counts, default=0)
    if not highest:
        return Chart((), 0, 0, time, f"No mail was sent in {time}.")
    first = MINUTES - len(counts)
    bars = tuple(_bar(first + index, count / highest) for index, count in enumerate(counts) if count)
    peak = len(counts) - 1 - counts.index(highest)
    ago = f"{peak} minutes ago" if peak else "in this minute"
    description = (
        f"Mails sent a minute: {sum(counts):,} in {time}, {sum(counts[-5:]):,} of them in the last five minutes, "
        f"at most {highest:,} a minute ({ago})."
    )
    return Chart(bars, sum(counts), highest, time, description)


def _bar(minute: int, share: float) -> Bar:
    height = max(2.0, round((HEIGHT - 2) * share, 1))
    return Bar(minute * STEP, round(HEIGHT - 1 - height, 1), height)
