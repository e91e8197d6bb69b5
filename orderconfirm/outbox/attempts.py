"""One attempt to send a claimed mail: send it, record the outcome, and draw conclusions about the relay."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import Protocol

from orderconfirm.errors import (
    DeliveryFailure,
    Denied,
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
from orderconfirm.models import ClaimedMail, RelayReply, State
from orderconfirm.outbox.breaker import Breaker
from orderconfirm.outbox.clock import ClockWatch
from orderconfirm.outbox.denials import Denials
from orderconfirm.outbox.queue import AttemptResult, OutboxQueue
from orderconfirm.outbox.retry import EXPIRED, RELEASED, SENT, WAITS_FOR_CLOCK, Outcome, Policy, decide, is_expired
from orderconfirm.outbox.throttle import RateLimiter

log = logging.getLogger(__name__)

#: Seconds between tries to record an outcome while the database is unavailable.
RECORD_RETRY_SECONDS = 0.5


class MailSender(Protocol):
    """What sends mails, as the outbox sees it."""

    def deliver(self, mail: ClaimedMail) -> RelayReply:
        """Render and send one mail. Raises a DeliveryFailure, or another exception if the order itself is at fault."""

    def close_idle(self) -> None:
        """Close the connections that have been idle for a while."""

    def abort(self) -> None:
        """Break the connections that are sending a mail, so that their threads end."""

    def close(self) -> None:
        """Close all idle connections."""


class AttemptRunner:
    """Runs attempts in several threads at once, one mail in each."""

    def __init__(
        self,
        queue: OutboxQueue,
        mail_sender: MailSender,
        policy: Policy,
        breaker: Breaker,
        limiter: RateLimiter,
        clock: ClockWatch,
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._mail_sender = mail_sender
        self._policy = policy
        self._breaker = breaker
        self._limiter = limiter
        self._denials = Denials()
        self._busy = 0
        self._lock = threading.Lock()
        self._is_stopping = threading.Event()
        self._is_cut_off = threading.Event()

    def handle(self, mail: ClaimedMail) -> None:
        """Send one mail and record the outcome. Raises nothing: one bad order must not stop the others."""
        with self._lock:
            self._busy += 1
        try:
            outcome, result = self._attempt(mail)
            self._record(mail, outcome, result)
        except Exception:
            log.exception("an outcome could not be recorded", extra={"order_id": mail.order_id})
        finally:
            with self._lock:
                self._busy -= 1

    def stop(self) -> None:
        """Release, unsent, the mails that are handed over from now on."""
        self._is_stopping.set()

    def cut_off(self) -> None:
        """End what is under way: its row still tells how far it came."""
        self._is_cut_off.set()
        self._mail_sender.abort()

    def _attempt(self, mail: ClaimedMail) -> tuple[Outcome, AttemptResult]:
        began = time.monotonic()
        if self._is_stopping.is_set():
            return RELEASED, AttemptResult()
        if is_expired(mail):
            return EXPIRED if self._clock.is_trusted else WAITS_FOR_CLOCK, AttemptResult()
        try:
            reply = self._mail_sender.deliver(mail)
        except Exception as exc:
            failure = self._denials.judge(exc, mail, time.monotonic()) if isinstance(exc, DeliveryFailure) else exc
            self._learn(failure, began)
            result = _result(failure, time.monotonic() - began)
            if self._is_cut_off.is_set() and not isinstance(failure, UnknownOutcome):
                return RELEASED, result
            return decide(failure, mail, self._policy, random.random(), self._clock.is_trusted), result  # noqa: S311
        self._denials.note_accepted(mail, began)
        self._learn(None, began)
        return SENT, AttemptResult("end_of_data", reply.code, reply.text, time.monotonic() - began)

    def _learn(self, failure: Exception | None, began: float) -> None:
        """Update the breaker and the rate limiter after an attempt begun at `began`; without a failure, it was sent."""
        now = time.monotonic()
        if self._limiter.ended(now, was_refused=isinstance(failure, SlowDown)):
            log.warning("the relay asks to slow down", extra={"rate": self._limiter.rate})
        if failure is None or (isinstance(failure, TryLater | Refused | Denied) and failure.code):
            if self._breaker.reset(began):
                log.warning("the relay accepts mail again")
        elif isinstance(failure, TooManyConnections) and self._busy > 1:
            self._limiter.too_many_connections(self._busy - 1, now)
        elif isinstance(failure, RelayTrouble) and not isinstance(failure, SlowDown):
            if self._breaker.trip(failure, now):
                extra = {"stage": failure.stage, "code": failure.code, "reason": failure.text}
                log.error("the relay is paused", extra=extra)
        elif not isinstance(failure, OrderConfirmError):
            log.error("a mail could not be rendered", exc_info=failure)

    def _record(self, mail: ClaimedMail, outcome: Outcome, result: AttemptResult) -> None:
        """Record the outcome, and keep trying until the service stops, because a sent mail must not be sent again."""
        was_unconfirmed = False
        while True:
            try:
                is_ours = self._queue.settle(mail, outcome, result)
                break
            except OutboxUnavailable as exc:
                was_unconfirmed = was_unconfirmed or isinstance(exc, UnconfirmedWrite)
                if self._is_cut_off.is_set():
                    raise
                self._is_cut_off.wait(RECORD_RETRY_SECONDS)
        extra = {"order_id": mail.order_id, "shop": mail.shop, "state": outcome.state, "event": outcome.event}
        details = {"stage": result.stage, "reason": outcome.reason, "seconds": result.seconds}
        log.log(_level(outcome), "mail %s", outcome.event, extra={**extra, **details})
        # If an unconfirmed write was carried out after all, it has ended the lease itself.
        if not is_ours and not was_unconfirmed:
            log.warning("the lease ended before the send did: the mail may arrive twice", extra=extra)


def _level(outcome: Outcome) -> int:
    if outcome.state in (State.FAILED, State.EXPIRED):
        return logging.ERROR
    return logging.WARNING if outcome.may_be_copy else logging.INFO


def _result(failure: Exception, seconds: float) -> AttemptResult:
    if isinstance(failure, DeliveryFailure):
        return AttemptResult(failure.stage, failure.code, failure.text, seconds)
    return AttemptResult("render", None, str(failure), seconds)
