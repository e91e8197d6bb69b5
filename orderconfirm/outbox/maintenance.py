"""Maintenance between two rounds of sending: clock checks, abandoned mails, long pauses, purges of old content."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orderconfirm.metrics import counters
from orderconfirm.metrics.table import INTERRUPTED
from orderconfirm.outbox.clock import ClockWatch
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.relay_account import RelayAccount
from orderconfirm.outbox.retention import MAX_BATCH, Retention
from orderconfirm.outbox.stats import read_stats

log = logging.getLogger(__name__)

#: Seconds between two checks of the clock and the leases.
POLL_INTERVAL = 2.0
#: Seconds between two purges, and between two lines about a pause.
PURGE_INTERVAL = 600.0
REMINDER_INTERVAL = 3600.0


@dataclass
class Maintenance:
    """Maintenance tasks of the dispatcher's thread between two rounds of sending.

    `accounts` are those through which mails are sent. `keep_seconds` is how long the content of a finished order is
    kept. With `holds_unknown`, mails of dead processes that may have been sent are held for a person.
    `look_for_silence` names shops whose webhook is silent, given the monotonic time.
    """

    database: Database
    queue: OutboxQueue
    retention: Retention
    clock: ClockWatch
    accounts: Sequence[RelayAccount]
    keep_seconds: float
    holds_unknown: bool
    look_for_silence: Callable[[float], None]

    def __post_init__(self) -> None:
        self._next_check = self._next_purge = 0.0
        self._hours_paused: dict[str, int] = {}

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
        for account in self.accounts:
            self._remind_of_pause(account, now)
        self.look_for_silence(now)
        # Right after the clock check, so that no jump is missed.
        if now >= self._next_purge and self.clock.is_trusted:
            purged = self.retention.purge(self.keep_seconds)
            # A full batch means that there is more to purge. Sending comes first, so the next batch waits.
            self._next_purge = now + (POLL_INTERVAL if purged == MAX_BATCH else PURGE_INTERVAL)

    def _remind_of_pause(self, account: RelayAccount, now: float) -> None:
        """Log a long pause again every hour: its first line may be out of reach."""
        pause = account.pause
        # The pause may have begun after `now`.
        hours = max(0, int((now - pause.since) // REMINDER_INTERVAL)) if pause else 0
        if pause and hours > self._hours_paused.get(account.name, 0):
            since, next_try_at = (datetime.now(UTC) + timedelta(seconds=at - now) for at in (pause.since, pause.until))
            extra = {
                "reason": pause.reason,
                "advice": pause.advice,
                "relay": account.relay,
                "account": account.name,
                "mails": read_stats(self.database).pending,
                "since": since.isoformat(timespec="seconds"),
                "next_try_at": next_try_at.isoformat(timespec="seconds"),
            }
            log.error("the relay is still paused", extra=extra)
        self._hours_paused[account.name] = hours

    def _reclaim(self, own_tokens: Collection[str], now: float) -> None:
        order_ids = self.queue.reclaim_abandoned(own_tokens, self.clock.trusts_leases(now), self.holds_unknown)
        counters.add(INTERRUPTED, amount=len(order_ids))
        if order_ids:
            consequence = "are held" if self.holds_unknown else "are sent again"
            log.warning(
                f"mails of a dead process {consequence}: each may arrive twice",
                extra={"mails": len(order_ids), "order_ids": order_ids},
            )
