"""What the dispatcher does beside sending: bring abandoned mails back, watch the clock, forget what is old enough."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass

from orderconfirm.outbox.desk import AT_ONCE, Desk
from orderconfirm.outbox.store import Store

log = logging.getLogger(__name__)

#: Seconds between two looks at the leases and the clock.
LOOK_SECONDS = 2.0
#: Seconds between two looks for content that is old enough to be deleted.
FORGET_SECONDS = 600.0
#: A clock that is off by this many seconds since the last look has jumped.
JUMP_SECONDS = 5.0


@dataclass
class Upkeep:
    """Times are seconds of a monotonic clock, passed in. `keep_seconds` is how long the content of a mail is kept."""

    store: Store
    desk: Desk
    keep_seconds: float
    lease_seconds: float
    holds_unknown: bool

    def __post_init__(self) -> None:
        self._next_look = self._next_forget = 0.0
        self._trusts_clock_from = 0.0
        self._seen: tuple[float, float] | None = None

    def run(self, own_tokens: Collection[str], now: float) -> None:
        """Do what is due; `own_tokens` are the leases under way in this process. Raises OutboxUnavailable."""
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self._watch_clock(now)
            self._reclaim(own_tokens, now)
        if now >= self._next_forget:
            forgotten = self.desk.forget(self.keep_seconds)
            # A full batch means that there is more: soon again, but between two rounds of sending.
            self._next_forget = now + (LOOK_SECONDS if forgotten == AT_ONCE else FORGET_SECONDS)

    def _watch_clock(self, now: float) -> None:
        clock = self.store.clock()
        jump = (clock - self._seen[0]) - (now - self._seen[1]) if self._seen else 0.0
        is_first, self._seen = self._seen is None, (clock, now)
        if abs(jump) > JUMP_SECONDS:
            log.warning("the database's clock jumped", extra={"seconds": round(jump)})
            # Other processes' leases may only look as if they had run out.
            self._trusts_clock_from = now + self.lease_seconds
        if is_first or jump < -JUMP_SECONDS:
            self.store.rebase()

    def _reclaim(self, own_tokens: Collection[str], now: float) -> None:
        count = self.store.reclaim_abandoned(own_tokens, now >= self._trusts_clock_from, self.holds_unknown)
        if count:
            then = "wait for a person" if self.holds_unknown else "are sent again"
            log.warning(f"mails of a dead process {then}: each may arrive twice", extra={"mails": count})
