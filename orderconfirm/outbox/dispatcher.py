"""The loop that records finished attempts, claims as many due mails as the relay accepts, and has them sent."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from orderconfirm.errors import OutboxUnavailable, UnconfirmedWrite
from orderconfirm.metrics import counters
from orderconfirm.metrics.table import CONNECTIONS
from orderconfirm.models import ClaimedMail, State
from orderconfirm.outbox.attempts import AttemptRunner, MailSender, ids
from orderconfirm.outbox.breaker import Breaker
from orderconfirm.outbox.leases import FinishedAttempt
from orderconfirm.outbox.maintenance import Maintenance
from orderconfirm.outbox.process_locks import ProcessLocks
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retry import RELEASED
from orderconfirm.outbox.send_counts import count_send
from orderconfirm.outbox.sender_threads import SenderThreads
from orderconfirm.outbox.senders import Senders, Share
from orderconfirm.outbox.throttle import RateLimiter

log = logging.getLogger(__name__)

#: Seconds between two polls of the outbox. A mail of another process does not wake this one.
POLL_INTERVAL = 2.0
#: Minimum seconds between two rounds, so that one transaction serves many mails.
ROUND_INTERVAL = 0.005
#: Seconds until the next poll after one that found no further due mails.
QUIET_INTERVAL = 0.05
#: Seconds between tries to record an outcome while the database is unavailable.
RECORD_RETRY_SECONDS = 0.5
#: Mails leased for each connection: one is being sent, the envelope of the next has been sent, and two bridge the time
#: until the next claim.
MAILS_PER_CONNECTION = 4
#: The last seconds of the drain, in which the outcomes of interrupted mails are recorded.
DRAIN_MARGIN = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Connections to the relay, the lease of each mail, and the time that a stop leaves mails in flight to finish.

    `send_seconds` is the maximum duration of a send.
    """

    connections: int
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
        attempt_runner: AttemptRunner,
        mail_sender: MailSender,
        maintenance: Maintenance,
        breaker: Breaker,
        limiter: RateLimiter,
        process_locks: ProcessLocks,
        senders: Senders,
        limits: Limits,
    ) -> None:
        self._queue = queue
        self._attempt_runner = attempt_runner
        self._mail_sender = mail_sender
        self._maintenance = maintenance
        self._breaker = breaker
        self._limiter = limiter
        self._process_locks = process_locks
        self._senders = senders
        self._share = Share()
        self._limits = limits
        self._threads = SenderThreads(limits.connections, attempt_runner, self._note_settled)
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
        self._threads.stop()
        self._wake.set()
        if self._loop is not None:
            self._loop.join(self._limits.drain_seconds - DRAIN_MARGIN)
            if self._loop.is_alive():
                log.warning("mails in flight are interrupted: the drain is over", extra={"mails": len(self._leased)})
                self._attempt_runner.cut_off()
                self._loop.join(DRAIN_MARGIN)
        self._ended.set()
        self._mail_sender.close()
        counters.set(CONNECTIONS, [0])
        with suppress(OutboxUnavailable):  # otherwise the others find out that this process has ended
            self._senders.leave()
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
        self._mail_sender.close_idle(self._share.connections)
        counters.set(CONNECTIONS, [self._mail_sender.open_connections])
        failure: Exception | None = None
        allowed = 0
        if not self._stopping.is_set():
            try:
                self._take_share(time.monotonic())
                self._maintenance.run(self._tokens(), time.monotonic())
                allowed = self._allowance(time.monotonic())
            except OutboxUnavailable as exc:
                failure = exc  # outcomes are recorded nevertheless
        if self._stopping.is_set() or self._breaker.is_open or not self._process_locks.is_visible:
            for mail in self._threads.give_back():
                self._note_settled(FinishedAttempt.of(mail, RELEASED))
        outcomes = self._take_outcomes()
        claimed_at = time.monotonic()
        exchange = self._queue.exchange([each.finished for each in outcomes], allowed, self._limits.lease_seconds)
        # In this order, because an outcome may be that of an earlier lease of a mail that is claimed again.
        self._conclude(outcomes, exchange.settled)
        self._start(exchange.claimed, claimed_at)
        if failure := failure or exchange.failure:
            raise failure
        self._note_success()
        pause = max(0.01, self._seconds_to_more(len(exchange.claimed), allowed, True in exchange.settled))
        pause = min(pause, self._senders.seconds_to_look(time.monotonic()))
        return min(pause, RECORD_RETRY_SECONDS if self._outcomes else POLL_INTERVAL)

    def _take_share(self, now: float) -> None:
        """Keep to this process's share of the relay's limits.

        Raises OutboxUnavailable, and closes all idle connections, when the others cannot see that this process lives:
        they take its share and its mails.
        """
        if not self._process_locks.is_visible:
            self._keep_to(Share(), now)
            raise OutboxUnavailable("the process lock is lost")
        share = self._senders.share(self._mail_sender.open_connections, self._breaker.pause, now)
        if share != self._share:
            self._keep_to(share, now)

    def _keep_to(self, share: Share, now: float) -> None:
        self._share = share
        self._threads.limit = share.connections
        self._limiter.set_share(share.connections, self._limits.connections, not share.others, now)
        self._breaker.set_senders(share.others + 1)
        self._mail_sender.close_idle(share.connections)
        log.info("connections to the relay", extra={"connections": share.connections, "other_senders": share.others})

    def _allowance(self, now: float) -> int:
        """Return how many mails may be claimed."""
        busy = self._threads.busy
        room = self._share.connections * MAILS_PER_CONNECTION - busy
        return self._limiter.allowance(self._breaker.allowance(room, busy, now), busy, now)

    def _start(self, mails: Sequence[ClaimedMail], claimed_at: float) -> None:
        if not mails:
            return
        # First, so that none of them expires or is given up because the clock jumped since the last maintenance.
        self._maintenance.clock.check_claim(mails[0].claimed_at.timestamp(), time.monotonic())
        for mail in mails:
            self._limiter.started()
            self._leased[mail.id, mail.lease_token] = mail, claimed_at
        self._threads.put(mails, claimed_at + self._limits.lease_seconds - self._limits.send_seconds)

    def _seconds_to_more(self, claimed: int, allowed: int, has_recorded: bool) -> float:
        now = time.monotonic()
        probe_wait = self._breaker.seconds_left(now)
        if probe_wait is not None:
            return max(0.05, probe_wait)
        if claimed == allowed:
            # The next finished mail wakes the loop, unless the rate is the limit.
            return self._limiter.seconds_left(now) or POLL_INTERVAL
        if claimed or has_recorded:
            return QUIET_INTERVAL
        due = self._queue.seconds_to_next()
        return POLL_INTERVAL if due is None else due

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
