"""The loop that records finished attempts, claims as many due mails as the relays accept, and has them sent."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from orderconfirm.errors import OutboxUnavailable, UnconfirmedWrite
from orderconfirm.metrics import counters
from orderconfirm.metrics.table import CONNECTIONS
from orderconfirm.models import ClaimedMail, State
from orderconfirm.outbox.attempts import ids
from orderconfirm.outbox.leases import FinishedAttempt
from orderconfirm.outbox.maintenance import Maintenance
from orderconfirm.outbox.process_locks import ProcessLocks
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.relay_account import RelayAccount
from orderconfirm.outbox.retry import RELEASED
from orderconfirm.outbox.send_counts import count_send
from orderconfirm.outbox.senders import Share

log = logging.getLogger(__name__)

#: Seconds between two polls of the outbox. A mail of another process does not wake this one.
POLL_INTERVAL = 2.0
#: Minimum seconds between two rounds, so that one transaction serves many mails.
ROUND_INTERVAL = 0.005
#: Seconds until the next poll after one that found no further due mails.
QUIET_INTERVAL = 0.05
#: Seconds between tries to record an outcome while the database is unavailable.
RECORD_RETRY_SECONDS = 0.5
#: The last seconds of the drain, in which the outcomes of interrupted mails are recorded.
DRAIN_MARGIN = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """The lease of each mail, and the time that a stop leaves mails in flight to finish.

    `send_seconds` is the maximum duration of a send.
    """

    lease_seconds: float
    send_seconds: float
    drain_seconds: float


@dataclass(slots=True)
class _Unrecorded:
    """A finished attempt to be recorded. It may be recorded already if an earlier try was unconfirmed."""

    finished: FinishedAttempt
    was_unconfirmed: bool = False


class Dispatcher:
    """The dispatcher's thread and the sending threads. They run from `start` to `stop`."""

    def __init__(
        self,
        queue: OutboxQueue,
        accounts: Sequence[RelayAccount],
        account_of: Callable[[str], str],
        maintenance: Maintenance,
        process_locks: ProcessLocks,
        limits: Limits,
    ) -> None:
        """`account_of` returns the name of the relay account through which a shop's mails are sent."""
        self._queue = queue
        self._accounts = accounts
        self._account_of = account_of
        self._maintenance = maintenance
        self._process_locks = process_locks
        self._limits = limits
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        #: Outcomes that are not recorded yet.
        self._outcomes: list[_Unrecorded] = []
        #: The mails that this process has leased, by id and token, and the monotonic time of each claim.
        self._leased: dict[tuple[int, str], tuple[ClaimedMail, float]] = {}
        self._is_failing = False
        self._loop: threading.Thread | None = None
        self._last_round = time.monotonic()

    @property
    def seconds_since_last_round(self) -> float:
        """Seconds since the last completed round. It grows while the loop is stuck or the outbox is unavailable."""
        return time.monotonic() - self._last_round

    def start(self) -> None:
        """Start to claim mails. Call it after the fork: threads do not survive one. Raises OutboxUnavailable."""
        self._process_locks.claim(self.wake)
        for account in self._accounts:
            account.start(self._note_settled)
        self._loop = threading.Thread(target=self._run, name="dispatcher", daemon=True)
        self._loop.start()

    @property
    def has_died(self) -> bool:
        """Whether the loop has ended without `stop`."""
        return self._loop is not None and not self._loop.is_alive() and not self._stopping.is_set()

    def wake(self) -> None:
        """Start the next round now, because a mail may be due."""
        self._wake.set()

    def stop(self) -> None:
        """Stop claiming, let the mails in flight finish, end the threads and close the connections.

        Mails that have not finished DRAIN_MARGIN before the end of the drain are interrupted. A mail interrupted before
        the end of its data is queued again; after it, its outcome is recorded as unknown.
        """
        self._stopping.set()
        for account in self._accounts:
            account.begin_stop()
        self._wake.set()
        if self._loop is not None:
            self._loop.join(self._limits.drain_seconds - DRAIN_MARGIN)
            if self._loop.is_alive():
                log.warning("mails in flight are interrupted: the drain is over", extra={"mails": len(self._leased)})
                for account in self._accounts:
                    account.runner.cut_off()
                self._loop.join(DRAIN_MARGIN)
        self._ended.set()
        for account in self._accounts:
            with suppress(OutboxUnavailable):  # otherwise the others find out that this process has ended
                account.leave()
        counters.set(CONNECTIONS, [0])
        self._process_locks.release()

    def _run(self) -> None:
        while not (self._ended.is_set() or (self._stopping.is_set() and not self._leased)):
            began = time.monotonic()
            self._wake.clear()
            try:
                pause = self._round()
            except Exception as exc:
                # Continue after every exception: otherwise a healthy process would no longer send mails.
                self._note_failure(exc)
                pause = RECORD_RETRY_SECONDS if self._outcomes else POLL_INTERVAL
            self._wake.wait(pause)
            time.sleep(max(0.0, began + ROUND_INTERVAL - time.monotonic()))

    def _round(self) -> float:
        """Record finished attempts and start as many mails as possible. Returns the seconds until the next round."""
        for account in self._accounts:
            account.close_idle()
        counters.set(CONNECTIONS, [sum(account.open_connections for account in self._accounts)])
        failure: Exception | None = None
        allowed: dict[str, int] = {}
        if not self._stopping.is_set():
            try:
                self._take_shares(time.monotonic())
                self._maintenance.run(self._tokens(), time.monotonic())
                allowed = {account.name: account.allowance(time.monotonic()) for account in self._accounts}
            except OutboxUnavailable as exc:
                failure = exc  # outcomes are recorded nevertheless
        self._give_back()
        outcomes = self._take_outcomes()
        claimed_at = time.monotonic()
        exchange = self._queue.exchange([each.finished for each in outcomes], allowed, self._limits.lease_seconds)
        # In this order, because an outcome may be that of an earlier lease of a mail that is claimed again.
        self._conclude(outcomes, exchange.settled)
        claimed = self._start(exchange.claimed, claimed_at)
        if failure := failure or exchange.failure:
            raise failure
        self._note_success()
        pause = max(0.01, self._seconds_to_more(claimed, allowed, True in exchange.settled))
        now = time.monotonic()
        pause = min(pause, *(account.senders.seconds_to_look(now) for account in self._accounts))
        return min(pause, RECORD_RETRY_SECONDS if self._outcomes else POLL_INTERVAL)

    def _take_shares(self, now: float) -> None:
        """Keep to this process's share of each relay account's limits.

        Raises OutboxUnavailable, and closes all idle connections, when the others cannot see that this process lives:
        they take its share and its mails.
        """
        is_visible = self._process_locks.is_visible
        for account in self._accounts:
            if is_visible:
                account.take_share(now)
            else:
                account.keep_to(Share(), now)
        if not is_visible:
            raise OutboxUnavailable("the process lock is lost")

    def _give_back(self) -> None:
        """Release the mails that must not be begun."""
        must_release = self._stopping.is_set() or not self._process_locks.is_visible
        for account in self._accounts:
            if must_release or account.pause:
                for mail in account.give_back():
                    self._note_settled(FinishedAttempt.of(mail, RELEASED))

    def _start(self, mails: Sequence[ClaimedMail], claimed_at: float) -> Mapping[str, int]:
        """Have claimed mails sent. Returns how many they are by account."""
        if not mails:
            return {}
        # First, so that none of them expires or is given up because the clock jumped since the last maintenance.
        self._maintenance.clock.check_claim(mails[0].claimed_at.timestamp(), time.monotonic())
        by_account: dict[str, list[ClaimedMail]] = defaultdict(list)
        for mail in mails:
            by_account[self._account_of(mail.shop)].append(mail)
            self._leased[mail.id, mail.lease_token] = mail, claimed_at
        send_by = claimed_at + self._limits.lease_seconds - self._limits.send_seconds
        for account in self._accounts:
            if account.name in by_account:
                account.put(by_account[account.name], send_by)
        return {name: len(claimed) for name, claimed in by_account.items()}

    def _seconds_to_more(self, claimed: Mapping[str, int], allowed: Mapping[str, int], has_recorded: bool) -> float:
        now = time.monotonic()
        waits = {
            account.name: account.seconds_to_more(claimed.get(account.name, 0), allowed.get(account.name, 0), now)
            for account in self._accounts
        }
        free = [name for name, wait in waits.items() if wait is None]
        until_free = min((wait for wait in waits.values() if wait is not None), default=POLL_INTERVAL)
        if not free:
            return until_free
        if has_recorded or any(name in claimed for name in free):
            return min(until_free, QUIET_INTERVAL)
        due = self._queue.seconds_to_next(free)
        return until_free if due is None else min(until_free, due)

    def _note_settled(self, finished: FinishedAttempt) -> None:
        with self._lock:
            self._outcomes.append(_Unrecorded(finished))
        self._wake.set()

    def _take_outcomes(self) -> list[_Unrecorded]:
        with self._lock:
            outcomes, self._outcomes = self._outcomes, []
            return outcomes

    def _tokens(self) -> set[str]:
        return {token for _, token in self._leased}

    def _conclude(self, outcomes: Sequence[_Unrecorded], settled: Sequence[bool | Exception]) -> None:
        """Log what was recorded. Keep the rest until the service stops: a sent mail must not be sent again."""
        for outcome, is_ours in zip(outcomes, settled, strict=True):
            if isinstance(is_ours, OutboxUnavailable):
                outcome.was_unconfirmed = outcome.was_unconfirmed or isinstance(is_ours, UnconfirmedWrite)
                with self._lock:
                    self._outcomes.append(outcome)
                continue
            mail, claimed_at = self._leased.pop((outcome.finished.mail_id, outcome.finished.token))
            if isinstance(is_ours, Exception):
                log.error("an outcome could not be recorded", extra=ids(mail), exc_info=is_ours)
                continue
            self._process_locks.note_settled(mail.id)
            count_send(mail, outcome.finished, time.monotonic() - claimed_at)
            _log(mail, outcome.finished)
            # If an unconfirmed write was carried out after all, it has ended the lease itself.
            if not is_ours and not outcome.was_unconfirmed:
                log.warning("the lease ended before the send did: the mail may arrive twice", extra=ids(mail))

    def _note_success(self) -> None:
        self._last_round = time.monotonic()
        if self._is_failing:
            log.warning("the dispatcher reaches the outbox again")
        self._is_failing = False

    def _note_failure(self, exc: Exception) -> None:
        if not self._is_failing:
            reason = str(exc) if isinstance(exc, OutboxUnavailable) else type(exc).__name__
            log.error("the dispatcher cannot reach the outbox", extra={"reason": reason}, exc_info=exc)
        self._is_failing = True


def _log(mail: ClaimedMail, finished: FinishedAttempt) -> None:
    outcome, result = finished.outcome, finished.result
    if outcome.state in (State.FAILED, State.EXPIRED):
        level = logging.ERROR
    else:
        level = logging.WARNING if outcome.may_be_copy else logging.INFO
    duration_ms = None if result.seconds is None else round(result.seconds * 1000, 1)
    reply = {"stage": result.stage, "code": result.code, "reason": outcome.reason}
    log.log(
        level,
        "mail %s",
        outcome.event,
        extra={**ids(mail), "state": outcome.state, "duration_ms": duration_ms, **reply},
    )
