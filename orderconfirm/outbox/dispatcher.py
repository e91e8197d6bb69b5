"""The thread that empties the outbox: it claims what is due, as much as the relay takes, and feeds the senders."""

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

#: Seconds after which the outbox is looked at without a wake-up: another process may have put a mail there.
POLL_SECONDS = 2.0
#: Of the drain, the seconds that are left to write down what became of the mails that were cut off.
DRAIN_MARGIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """`seats` mails are under way at once. Seconds: the `lease` of each, and the `drain` that they have at the end."""

    seats: int
    lease: float
    drain: float


class Dispatcher:
    """Runs from `start` to `stop`."""

    def __init__(
        self,
        queue: OutboxQueue,
        sender: AttemptRunner,
        mail_sender: MailSender,
        maintenance: Maintenance,
        breaker: Breaker,
        limiter: RateLimiter,
        limits: Limits,
    ) -> None:
        self._queue = queue
        self._sender = sender
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
        # It starts its threads with its first mails.
        self._threads = ThreadPoolExecutor(limits.seats, thread_name_prefix="sender")
        self._last_round = time.monotonic()

    @property
    def is_relay_paused(self) -> bool:
        return self._breaker.is_open

    @property
    def seconds_since_last_round(self) -> float:
        """Grows while the loop is stuck or cannot reach the outbox."""
        return time.monotonic() - self._last_round

    def start(self) -> None:
        """Start claiming. Call it after the fork: threads do not survive one."""
        self._loop = threading.Thread(target=self._run, name="dispatcher", daemon=True)
        self._loop.start()

    def wake(self) -> None:
        """Say that a mail may be due."""
        self._wake.set()

    def stop(self) -> None:
        """Claim nothing more, let what is in flight finish, close the connections, end the threads.

        What has not finished when the drain is nearly over is cut off: before its final dot it is given back, after it
        its outcome is unknown, and its row says so.
        """
        end = time.monotonic() + self._limits.drain - DRAIN_MARGIN_SECONDS
        self._stopping.set()
        self._sender.stop()
        self._wake.set()
        if self._loop is not None:
            self._loop.join(self._limits.drain - DRAIN_MARGIN_SECONDS)
        with self._lock:
            flying = set(self._in_flight)
        _, late = wait(flying, timeout=max(0.0, end - time.monotonic()))
        if late:
            log.warning("mails in flight are cut off: the drain is over", extra={"mails": len(late)})
            self._sender.cut_off()
            _, late = wait(late, timeout=DRAIN_MARGIN_SECONDS)
        self._threads.shutdown(wait=not late, cancel_futures=True)
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
            except Exception as failure:
                # The loop outlives everything: a dead dispatcher in a healthy process sends nothing for weeks.
                if not is_failing:
                    log.exception("the dispatcher cannot reach the outbox", extra={"reason": type(failure).__name__})
                is_failing, pause = True, POLL_SECONDS
            self._wake.wait(pause)

    def _round(self) -> float:
        """Start what may be started; returns the seconds until there may be more."""
        self._mail_sender.close_idle()
        with self._lock:
            busy = len(self._in_flight)
            tokens = {mail.lease_token for mail in self._in_flight.values()}
        self._maintenance.run(tokens, time.monotonic())
        now = time.monotonic()
        seats = self._limits.seats - busy
        allowed = self._limiter.allowance(self._breaker.allowance(seats, busy, now), busy, now)
        claimed = self._queue.claim(allowed, self._limits.lease) if allowed > 0 else []
        if claimed:
            # Before any of them can expire or be given up by a clock that jumped since the last look.
            self._maintenance.clock.check(claimed[0].claimed_at.timestamp(), time.monotonic())
        for mail in claimed:
            self._start(mail)
        return max(0.01, min(POLL_SECONDS, self._seconds_to_more(len(claimed), allowed, seats, now)))

    def _seconds_to_more(self, claimed: int, allowed: int, seats: int, now: float) -> float:
        if claimed == seats:
            return POLL_SECONDS  # the next mail that ends wakes us
        probe = self._breaker.seconds_left(now)
        if probe is not None:
            return max(0.05, probe)
        if claimed == allowed:
            return self._limiter.seconds_left(now) or POLL_SECONDS
        due = self._queue.seconds_to_next()
        return POLL_SECONDS if due is None else due

    def _start(self, mail: ClaimedMail) -> None:
        self._limiter.started()
        with self._lock:
            future = self._threads.submit(self._sender.handle, mail)
            self._in_flight[future] = mail
        future.add_done_callback(self._finished)

    def _finished(self, future: Future[None]) -> None:
        with self._lock:
            self._in_flight.pop(future, None)
        self._wake.set()
