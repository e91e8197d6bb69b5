"""Claim, send, record: the thread that empties the outbox, and the sender threads it feeds."""

from __future__ import annotations

import logging
import random
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol

from orderconfirm.errors import (
    DeliveryFailure,
    OrderConfirmError,
    OutboxUnavailable,
    RelayTrouble,
)
from orderconfirm.models import ClaimedMail, Delivered, State
from orderconfirm.outbox.breaker import Breaker
from orderconfirm.outbox.retry import EXPIRED, RELEASED, SENT, Policy, Settlement, decide
from orderconfirm.outbox.store import Report, Store

log = logging.getLogger(__name__)

#: Seconds after which the outbox is looked at without a wake-up: another process may have put a mail there.
POLL_SECONDS = 2.0
#: Seconds that a claimed mail stays this process's own. Longer than any send can take.
LEASE_SECONDS = 180.0
#: Seconds for what is in flight when the service is told to stop.
DRAIN_SECONDS = 25.0
#: Seconds between tries to write down an outcome while the database is away, for as long as the lease lasts.
RECORD_PAUSE = 0.5


class Courier(Protocol):
    """What the dispatcher needs of the mail side."""

    def deliver(self, mail: ClaimedMail) -> Delivered:
        """Compose and send one mail. Raises a DeliveryFailure, or anything else when the order itself is at fault."""

    def tidy(self) -> None:
        """Close connections that have been idle for a while."""

    def close(self) -> None:
        """Close all connections."""


class Dispatcher:
    """Runs from `start` to `stop`. `seats` is the number of mails under way at once."""

    def __init__(self, store: Store, courier: Courier, policy: Policy, seats: int) -> None:
        self._store = store
        self._courier = courier
        self._policy = policy
        self._seats = seats
        self._breaker = Breaker()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._in_flight: set[Future[None]] = set()
        self._lock = threading.Lock()
        self._loop: threading.Thread | None = None
        # It starts its threads with its first mails.
        self._senders = ThreadPoolExecutor(seats, thread_name_prefix="sender")
        self._next_reclaim = 0.0

    def start(self) -> None:
        """Start claiming. Call it after the fork: threads do not survive one."""
        self._loop = threading.Thread(target=self._run, name="dispatcher", daemon=True)
        self._loop.start()

    def wake(self) -> None:
        """Say that a mail may be due."""
        self._wake.set()

    def stop(self) -> None:
        """Claim nothing more, let what is in flight finish, close the connections, end the threads.

        In this order: a mail that finishes after its claim was stopped is still recorded, and a connection is closed
        only when nobody uses it. Whatever is not sent by then stays in the outbox; its lease brings it back.
        """
        deadline = time.monotonic() + DRAIN_SECONDS
        self._stopping.set()
        self._wake.set()
        if self._loop is not None:
            self._loop.join(DRAIN_SECONDS)
        with self._lock:
            flying = set(self._in_flight)
        _, late = wait(flying, timeout=max(0.0, deadline - time.monotonic()))
        if late:
            log.warning("stopped with mails in flight", extra={"mails": len(late)})
        self._senders.shutdown(wait=not late, cancel_futures=True)
        self._courier.close()

    def _run(self) -> None:
        is_failing = False
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                pause = self._round()
                is_failing = False
            except Exception as failure:
                # The loop outlives everything: a dead dispatcher in a healthy process sends nothing for weeks.
                if not is_failing:
                    log.exception("the dispatcher cannot reach the outbox", extra={"reason": type(failure).__name__})
                is_failing, pause = True, POLL_SECONDS
            self._wake.wait(pause)

    def _round(self) -> float:
        """Start what may be started; returns the seconds until there may be more."""
        now = time.monotonic()
        self._courier.tidy()
        if now >= self._next_reclaim:
            self._reclaim()
            self._next_reclaim = now + POLL_SECONDS
        with self._lock:
            busy = len(self._in_flight)
        seats = self._breaker.allowance(self._seats - busy, busy, now)
        claimed = self._store.claim(seats, LEASE_SECONDS) if seats > 0 else []
        for mail in claimed:
            self._start(mail)
        if seats and len(claimed) == seats:
            return POLL_SECONDS
        probe = self._breaker.seconds_left(now)
        if probe is not None:
            return max(0.05, min(POLL_SECONDS, probe))
        due = self._store.seconds_to_next()
        return POLL_SECONDS if due is None else max(0.01, min(POLL_SECONDS, due))

    def _reclaim(self) -> None:
        count = self._store.reclaim_abandoned()
        if count:
            log.warning("mails of a dead process are sent again: each may arrive twice", extra={"mails": count})

    def _start(self, mail: ClaimedMail) -> None:
        future = self._senders.submit(self._handle, mail)
        with self._lock:
            self._in_flight.add(future)
        future.add_done_callback(self._finished)

    def _finished(self, future: Future[None]) -> None:
        with self._lock:
            self._in_flight.discard(future)
        self._wake.set()

    def _handle(self, mail: ClaimedMail) -> None:
        """One mail from claim to record. Nothing may escape: one bad order must not stop the others."""
        began = time.monotonic()
        try:
            settlement, report = self._attempt(mail, began)
            self._record(mail, settlement, report, began)
        except Exception:
            log.exception("an outcome could not be written down", extra={"order_id": mail.order_id})

    def _attempt(self, mail: ClaimedMail, began: float) -> tuple[Settlement, Report]:
        if self._stopping.is_set():
            return RELEASED, Report()
        if mail.send_before is not None and mail.send_before <= mail.claimed_at:
            return EXPIRED, Report()
        try:
            delivered = self._courier.deliver(mail)
        except Exception as failure:
            self._note(failure)
            age = (mail.claimed_at - mail.accepted_at).total_seconds()
            settlement = decide(failure, mail.attempts, age, self._policy, random.random())  # noqa: S311
            return settlement, _report(failure, time.monotonic() - began)
        if self._breaker.reset():
            log.info("the relay takes mail again")
        return SENT, Report("dot", delivered.code, delivered.text, time.monotonic() - began)

    def _note(self, failure: Exception) -> None:
        if isinstance(failure, RelayTrouble) and self._breaker.trip(failure, time.monotonic()):
            log.error(
                "the relay is paused", extra={"stage": failure.stage, "code": failure.code, "reason": failure.text}
            )
        if not isinstance(failure, OrderConfirmError):
            log.error("a mail could not be made", exc_info=failure)

    def _record(self, mail: ClaimedMail, settlement: Settlement, report: Report, began: float) -> None:
        """Write the outcome down, and keep trying while the lease lasts: a sent mail must not be sent again."""
        while True:
            try:
                is_ours = self._store.settle(mail, settlement, report)
                break
            except OutboxUnavailable:
                if time.monotonic() - began > LEASE_SECONDS:
                    raise
                time.sleep(RECORD_PAUSE)
        level = logging.ERROR if settlement.state is State.FAILED else logging.INFO
        about = {"order_id": mail.order_id, "shop": mail.shop, "state": settlement.state, "event": settlement.event}
        log.log(
            level, "mail %s", settlement.event, extra={**about, "reason": settlement.reason, "seconds": report.seconds}
        )
        if not is_ours:
            log.warning("the lease ended before the send did: the mail may arrive twice", extra=about)


def _report(failure: Exception, seconds: float) -> Report:
    if isinstance(failure, DeliveryFailure):
        return Report(failure.stage, failure.code, failure.text, seconds)
    return Report("compose", None, str(failure), seconds)
