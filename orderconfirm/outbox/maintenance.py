"""Maintenance between two rounds of sending: bring abandoned mails back, delete the content of old ones."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass

from orderconfirm.outbox.clock import ClockWatch
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retention import MAX_BATCH, Retention

log = logging.getLogger(__name__)

#: Seconds between two looks at the leases and the clock.
POLL_INTERVAL = 2.0
#: Seconds between two looks for content that is old enough to be deleted.
PURGE_INTERVAL = 600.0


@dataclass
class Maintenance:
    """Times are seconds of a monotonic clock, passed in. `keep_seconds` is how long the content of a mail is kept."""

    database: Database
    queue: OutboxQueue
    retention: Retention
    clock: ClockWatch
    keep_seconds: float
    holds_unknown: bool

    def __post_init__(self) -> None:
        self._next_look = self._next_forget = 0.0

    def run(self, own_tokens: Collection[str], now: float) -> None:
        """Do what is due; `own_tokens` are the leases under way in this process. Raises OutboxUnavailable."""
        if now < self._next_look:
            return
        self._next_look = now + POLL_INTERVAL
        self.clock.look(now)
        self._reclaim(own_tokens, now)
        if self.database.rescue_log():
            log.error(
                "the write-ahead log was deleted; what it held was saved into the database file: restart the service"
            )
        # Only behind a look at the clock, which must not have jumped meanwhile.
        if now >= self._next_forget and self.clock.is_trusted:
            purged = self.retention.purge(self.keep_seconds)
            # A full batch means that there is more: soon again, but between two rounds of sending.
            self._next_forget = now + (POLL_INTERVAL if purged == MAX_BATCH else PURGE_INTERVAL)

    def _reclaim(self, own_tokens: Collection[str], now: float) -> None:
        count = self.queue.reclaim_abandoned(own_tokens, self.clock.trusts_leases(now), self.holds_unknown)
        if count:
            then = "wait for a person" if self.holds_unknown else "are sent again"
            log.warning(f"mails of a dead process {then}: each may arrive twice", extra={"mails": count})
