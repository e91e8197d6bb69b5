"""The thread that claims due mails, as many as the relay takes, and hands each to a sending thread."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from orderconfirm.models import ClaimedMail
from orderconfirm.outbox.attempts import AttemptRunner, MailSender
from orderconfirm.outbox.breaker import Breaker
from orderconfirm.outbox.maintenance import Maintenance
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.throttle import RateLimiter

log = logging.getLogger(__name__)

#: Seconds between two polls of the outbox. A mail of another process does not wake this one.
POLL_INTERVAL = 2.0
#: The last seconds of the drain, in which the outcomes of interrupted mails are recorded.
DRAIN_MARGIN = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Mails that are sent at once (`seats`), the lease of each, and the time that a stop leaves them to finish."""

    seats: int
    lease_seconds: float
    drain_seconds: float


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
        limits: Limits,
    ) -> None:
        self._queue = queue
        self._attempt_runner = attempt_runner
        self._mail_sender = mail_sender
        self._maintenance = maintenance
        self._breaker = breaker
        self._limiter = limiter
        self._limits = limits
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._in_flight: dict[Future[None], ClaimedMail] = {}
        self._lock = threading.Lock()
        self._loop: threading.Thread | None = None
        # Its threads start with the first mails.
        self._threads = ThreadPoolExecutor(limits.seats, thread_name_prefix="sender")
        self._last_round = time.monotonic()

    @property
    def is_relay_paused(self) -> bool:
        """Whether the circuit breaker is open."""
        return self._breaker.is_open

    @property
    def seconds_since_last_round(self) -> float:
        """Seconds since the last completed round. It grows while the loop is stuck or the outbox is unavailable."""
        return time.monotonic() - self._last_round

    def start(self) -> None:
        """Start to claim mails. Call it after the fork, because threads do not survive one."""
        self._loop = threading.Thread(target=self._run, name="dispatcher", daemon=True)
        self._loop.start()

    def wake(self) -> None:
        """Start the next round now, because a mail may be due."""
        self._wake.set()

    def stop(self) -> None:
        """Stop claiming, let the mails in flight finish, end the threads and close the connections.

        Mails that have not finished DRAIN_MARGIN before the end of the drain are interrupted. A mail interrupted before
        the end of its data is queued again; after it, its outcome is recorded as unknown.
        """
        end = time.monotonic() + self._limits.drain_seconds - DRAIN_MARGIN
        self._stopping.set()
        self._attempt_runner.stop()
        self._wake.set()
        if self._loop is not None:
            self._loop.join(self._limits.drain_seconds - DRAIN_MARGIN)
        with self._lock:
            in_flight = set(self._in_flight)
        _, unfinished = wait(in_flight, timeout=max(0.0, end - time.monotonic()))
        if unfinished:
            log.warning("mails in flight are interrupted: the drain is over", extra={"mails": len(unfinished)})
            self._attempt_runner.cut_off()
            _, unfinished = wait(unfinished, timeout=DRAIN_MARGIN)
        self._threads.shutdown(wait=not unfinished, cancel_futures=True)
        self._mail_sender.close()

    def _run(self) -> None:
        is_failing = False
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                pause = self._round()
                self._last_round = time.monotonic()
                if is_failing:
                    log.warning("the dispatcher reaches the outbox again")
                is_failing = False
            except Exception as exc:
                # The loop survives every exception: otherwise a healthy process would no longer send mails.
                if not is_failing:
                    log.exception("the dispatcher cannot reach the outbox", extra={"reason": type(exc).__name__})
                is_failing, pause = True, POLL_INTERVAL
            self._wake.wait(pause)

    def _round(self) -> float:
        """Start as many mails as possible now. Returns the seconds until the next round."""
        self._mail_sender.close_idle()
        with self._lock:
            busy = len(self._in_flight)
            tokens = {mail.lease_token for mail in self._in_flight.values()}
        self._maintenance.run(tokens, time.monotonic())
        now = time.monotonic()
        seats = self._limits.seats - busy
        allowed = self._limiter.allowance(self._breaker.allowance(seats, busy, now), busy, now)
        claimed = self._queue.claim(allowed, self._limits.lease_seconds) if allowed > 0 else []
        if claimed:
            # Before any of them can expire or be given up because of a clock that jumped since the last maintenance.
            self._maintenance.clock.check_claim(claimed[0].claimed_at.timestamp(), time.monotonic())
        for mail in claimed:
            self._start(mail)
        return max(0.01, min(POLL_INTERVAL, self._seconds_to_more(len(claimed), allowed, seats, now)))

    def _seconds_to_more(self, claimed: int, allowed: int, seats: int, now: float) -> float:
        if claimed == seats:
            return POLL_INTERVAL  # the next mail that finishes wakes the loop
        probe_wait = self._breaker.seconds_left(now)
        if probe_wait is not None:
            return max(0.05, probe_wait)
        if claimed == allowed:
            return self._limiter.seconds_left(now) or POLL_INTERVAL
        due = self._queue.seconds_to_next()
        return POLL_INTERVAL if due is None else due

    def _start(self, mail: ClaimedMail) -> None:
        self._limiter.started()
        with self._lock:
            future = self._threads.submit(self._attempt_runner.handle, mail)
            self._in_flight[future] = mail
        future.add_done_callback(self._finished)

    def _finished(self, future: Future[None]) -> None:
        with self._lock:
            self._in_flight.pop(future, None)
        self._wake.set()
