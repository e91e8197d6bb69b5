"""Maintenance between two rounds of sending: clock checks, abandoned mails, purges of old content."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass

from orderconfirm.metrics import counters
from orderconfirm.metrics.table import INTERRUPTED
from orderconfirm.outbox.clock import ClockWatch
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retention import MAX_BATCH, Retention

log = logging.getLogger(__name__)

#: Seconds between two checks of the clock and the leases.
POLL_INTERVAL = 2.0
#: Seconds between two purges.
PURGE_INTERVAL = 600.0


@dataclass
class Maintenance:
    """Maintenance tasks of the dispatcher's thread between two rounds of sending.

    `keep_seconds` is how long the content of a finished order is kept. With `holds_unknown`, mails of dead processes
    that may have been sent are held for a person.
    """

    database: Database
    queue: OutboxQueue
    retention: Retention
    clock: ClockWatch
    keep_seconds: float
    holds_unknown: bool

    def __post_init__(self) -> None:
        self._next_check = self._next_purge = 0.0

    def run(self, own_tokens: Collection[str], now: float) -> None:
        """Run the tasks that are due. Raises OutboxUnavailable.

        `own_tokens` are the leases of mails that this process is sending, `now` is in seconds of a monotonic clock.
        """
        if now < self._next_check:
            return
        self._next_check = now + POLL_INTERVAL
        if self.database.save_lost_log():
            log.error(
                "the write-ahead log was deleted; its content was saved to the database file: restart the service"
            )
        self.clock.check(now)
        self._reclaim(own_tokens, now)
        # Right after the clock check, so that no jump is missed.
        if now >= self._next_purge and self.clock.is_trusted:
            purged = self.retention.purge(self.keep_seconds)
            # A full batch means that there is more to purge. Sending comes first, so the next batch waits.
            self._next_purge = now + (POLL_INTERVAL if purged == MAX_BATCH else PURGE_INTERVAL)

    def _reclaim(self, own_tokens: Collection[str], now: float) -> None:
        order_ids = self.queue.reclaim_abandoned(own_tokens, self.clock.trusts_leases(now), self.holds_unknown)
        counters.add(INTERRUPTED, amount=len(order_ids))
        if order_ids:
            consequence = "are held" if self.holds_unknown else "are sent again"
            log.warning(
                f"mails of a dead process {consequence}: each may arrive twice",
                extra={"mails": len(order_ids), "order_ids": order_ids},
            )
