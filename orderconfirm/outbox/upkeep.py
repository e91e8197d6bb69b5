"""Maintenance between two rounds of sending: bring abandoned mails back, delete the content of old ones."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass

from orderconfirm.outbox.clock import ClockWatch
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.desk import AT_ONCE, Desk
from orderconfirm.outbox.store import Store

log = logging.getLogger(__name__)

#: Seconds between two looks at the leases and the clock.
LOOK_SECONDS = 2.0
#: Seconds between two looks for content that is old enough to be deleted.
FORGET_SECONDS = 600.0


@dataclass
class Upkeep:
    """Times are seconds of a monotonic clock, passed in. `keep_seconds` is how long the content of a mail is kept."""

    database: Database
    store: Store
    desk: Desk
    clock: ClockWatch
    keep_seconds: float
    holds_unknown: bool

    def __post_init__(self) -> None:
        self._next_look = self._next_forget = 0.0

    def run(self, own_tokens: Collection[str], now: float) -> None:
        """Do what is due; `own_tokens` are the leases under way in this process. Raises OutboxUnavailable."""
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        self.clock.look(now)
        self._reclaim(own_tokens, now)
        if self.database.rescue_log():
            log.error(
                "the write-ahead log was deleted; what it held was saved into the database file: restart the service"
            )
        # Only behind a look at the clock, which must not have jumped meanwhile.
        if now >= self._next_forget and self.clock.is_trusted:
            forgotten = self.desk.forget(self.keep_seconds)
            # A full batch means that there is more: soon again, but between two rounds of sending.
            self._next_forget = now + (LOOK_SECONDS if forgotten == AT_ONCE else FORGET_SECONDS)

    def _reclaim(self, own_tokens: Collection[str], now: float) -> None:
        count = self.store.reclaim_abandoned(own_tokens, self.clock.trusts_leases(now), self.holds_unknown)
        if count:
            then = "wait for a person" if self.holds_unknown else "are sent again"
            log.warning(f"mails of a dead process {then}: each may arrive twice", extra={"mails": count})
