"""One claimed mail from its lease to its record, and what its fate tells about the relay."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import Protocol

from orderconfirm.errors import (
    DeliveryFailure,
    OrderConfirmError,
    OutboxUnavailable,
    Refused,
    RelayTrouble,
    SlowDown,
    TooManyConnections,
    TryLater,
    UnconfirmedWrite,
    UnknownOutcome,
)
from orderconfirm.models import ClaimedMail, Delivered, State
from orderconfirm.outbox.breaker import Breaker
from orderconfirm.outbox.clock import ClockWatch
from orderconfirm.outbox.pace import Pace
from orderconfirm.outbox.retry import EXPIRED, RELEASED, SENT, WAITS_FOR_CLOCK, Policy, Settlement, decide, is_expired
from orderconfirm.outbox.store import Report, Store

log = logging.getLogger(__name__)

#: Seconds between tries to write down an outcome while the database is away.
RECORD_PAUSE = 0.5


class Courier(Protocol):
    """What is needed of the mail side."""

    def deliver(self, mail: ClaimedMail) -> Delivered:
        """Compose and send one mail. Raises a DeliveryFailure, or anything else when the order itself is at fault."""

    def tidy(self) -> None:
        """Close connections that have been idle for a while."""

    def abort(self) -> None:
        """Cut the connections that carry a mail now, so that their threads end."""

    def close(self) -> None:
        """Close all idle connections."""


class Sender:
    """Used by many threads at once, one mail each."""

    def __init__(
        self, store: Store, courier: Courier, policy: Policy, breaker: Breaker, pace: Pace, clock: ClockWatch
    ) -> None:
        self._store = store
        self._clock = clock
        self._courier = courier
        self._policy = policy
        self._breaker = breaker
        self._pace = pace
        self._busy = 0
        self._lock = threading.Lock()
        self._is_stopping = threading.Event()
        self._is_cut_off = threading.Event()

    def handle(self, mail: ClaimedMail) -> None:
        """Send one mail and write its outcome down. Nothing escapes: one bad order must not stop the others."""
        with self._lock:
            self._busy += 1
        try:
            settlement, report = self._attempt(mail)
            self._record(mail, settlement, report)
        except Exception:
            log.exception("an outcome could not be written down", extra={"order_id": mail.order_id})
        finally:
            with self._lock:
                self._busy -= 1

    def stop(self) -> None:
        """Give back unsent what is handed over from now on."""
        self._is_stopping.set()

    def cut_off(self) -> None:
        """End what is under way: its row still tells how far it came."""
        self._is_cut_off.set()
        self._courier.abort()

    def _attempt(self, mail: ClaimedMail) -> tuple[Settlement, Report]:
        began = time.monotonic()
        if self._is_stopping.is_set():
            return RELEASED, Report()
        if is_expired(mail):
            return EXPIRED if self._clock.is_trusted else WAITS_FOR_CLOCK, Report()
        try:
            delivered = self._courier.deliver(mail)
        except Exception as failure:
            self._learn(failure, began)
            report = _report(failure, time.monotonic() - began)
            if self._is_cut_off.is_set() and not isinstance(failure, UnknownOutcome):
                return RELEASED, report
            return decide(failure, mail, self._policy, random.random(), self._clock.is_trusted), report  # noqa: S311
        self._learn(None, began)
        return SENT, Report("dot", delivered.code, delivered.text, time.monotonic() - began)

    def _learn(self, failure: Exception | None, began: float) -> None:
        """Tell the breaker and the pace how a mail that began at `began` went; None: it was sent."""
        now = time.monotonic()
        if self._pace.ended(now, was_refused=isinstance(failure, SlowDown)):
            log.warning("the relay wants fewer mails a second", extra={"rate": self._pace.rate})
        if failure is None or (isinstance(failure, TryLater | Refused) and failure.code):
            if self._breaker.reset(began):
                log.warning("the relay takes mail again")
        elif isinstance(failure, TooManyConnections) and self._busy > 1:
            self._pace.too_many_connections(self._busy - 1, now)
        elif isinstance(failure, RelayTrouble) and not isinstance(failure, SlowDown):
            if self._breaker.trip(failure, now):
                about = {"stage": failure.stage, "code": failure.code, "reason": failure.text}
                log.error("the relay is paused", extra=about)
        elif not isinstance(failure, OrderConfirmError):
            log.error("a mail could not be made", exc_info=failure)

    def _record(self, mail: ClaimedMail, settlement: Settlement, report: Report) -> None:
        """Write the outcome down, and keep trying until the service stops: a sent mail must not be sent again."""
        was_unconfirmed = False
        while True:
            try:
                is_ours = self._store.settle(mail, settlement, report)
                break
            except OutboxUnavailable as exc:
                was_unconfirmed = was_unconfirmed or isinstance(exc, UnconfirmedWrite)
                if self._is_cut_off.is_set():
                    raise
                self._is_cut_off.wait(RECORD_PAUSE)
        about = {"order_id": mail.order_id, "shop": mail.shop, "state": settlement.state, "event": settlement.event}
        told = {**about, "stage": report.stage, "reason": settlement.reason, "seconds": report.seconds}
        log.log(_level(settlement), "mail %s", settlement.event, extra=told)
        # An unconfirmed write that was carried out after all has ended the lease itself.
        if not is_ours and not was_unconfirmed:
            log.warning("the lease ended before the send did: the mail may arrive twice", extra=about)


def _level(settlement: Settlement) -> int:
    if settlement.state in (State.FAILED, State.EXPIRED):
        return logging.ERROR
    return logging.WARNING if settlement.may_be_copy else logging.INFO


def _report(failure: Exception, seconds: float) -> Report:
    if isinstance(failure, DeliveryFailure):
        return Report(failure.stage, failure.code, failure.text, seconds)
    return Report("compose", None, str(failure), seconds)
