"""The bars of a chart in SVG, and the same in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: The drawing's height and the width of a bar with its gap, in SVG units.
HEIGHT = 48
STEP = 5


@dataclass(frozen=True, slots=True)
class Bar:
    x: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of counts a minute, the oldest first. `description` is its text alternative."""

    bars: tuple[Bar, ...]
    total: int
    highest: int
    description: str


def draw(counts: Sequence[int]) -> Chart:
    """Return the chart of the last minutes, whose newest is not over yet."""
    highest = max(counts, default=0)
    bars = tuple(_bar(index, count, highest) for index, count in enumerate(counts) if count)
    if not highest:
        return Chart((), 0, 0, "No mail was sent in the last hour.")
    peak = len(counts) - 1 - counts.index(highest)
    ago = f"{peak} minutes ago" if peak else "in this minute"
    recent = sum(counts[-5:])
    description = (
        f"Mails sent a minute: {sum(counts)} in the last hour, {recent} of them in the last five minutes, "
        f"at most {highest} a minute ({ago})."
    )
    return Chart(bars, sum(counts), highest, description)


def _bar(index: int, count: int, highest: int) -> Bar:
    height = max(2.0, round((HEIGHT - 2) * count / highest, 1))
    return Bar(index * STEP, HEIGHT - 1 - height, height)
