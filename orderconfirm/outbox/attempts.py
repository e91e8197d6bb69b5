"""Attempts to send claimed mails: rendering, sending, and conclusions about the relay."""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from orderconfirm.errors import (
    ORDER_STAGES,
    DeliveryFailure,
    Denied,
    OrderConfirmError,
    Refused,
    RelayTrouble,
    SlowDown,
    TooManyConnections,
    TryLater,
    UnknownOutcome,
)
from orderconfirm.models import ClaimedMail, RelayReply
from orderconfirm.order.personal_data import mask_personal_data
from orderconfirm.outbox.breaker import Breaker
from orderconfirm.outbox.clock import ClockWatch
from orderconfirm.outbox.copy_numbers import number_of
from orderconfirm.outbox.denials import Denials
from orderconfirm.outbox.leases import AttemptResult, FinishedAttempt
from orderconfirm.outbox.process_locks import ProcessLocks
from orderconfirm.outbox.retry import EXPIRED, RELEASED, SENT, WAITS_FOR_CLOCK, Policy, decide, is_expired
from orderconfirm.outbox.throttle import RateLimiter

log = logging.getLogger(__name__)


class MailSender(Protocol):
    """The interface through which the outbox sends mails."""

    def prepare(self, mail: ClaimedMail) -> Any:
        """Return the finished message of a mail. Raises an exception if the order itself is at fault."""

    def send(self, message: Any, following: Any = None) -> RelayReply:
        """Send one message, and announce the `following` one, which must be sent or abandoned next.

        Raises a DeliveryFailure.
        """

    def abandon(self, message: Any) -> None:
        """Drop a message that was announced."""

    def advise(self, failure: DeliveryFailure) -> str:
        """Return what an operator does about a failure that concerns all mails."""

    @property
    def open_connections(self) -> int:
        """The number of connections to the relay that are open or being opened."""

    def close_idle(self, above: int) -> None:
        """Close the connections that have been idle for a while, and idle ones while more than `above` are open."""

    def abort(self) -> None:
        """Break the connections that are sending a mail, so that their threads end."""

    def close(self) -> None:
        """Close all idle connections."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A mail that this process has begun to send, and its finished message.

    `began` is the monotonic time of its start. A send begun after `send_by` may outlast the lease.
    """

    mail: ClaimedMail
    message: Any
    began: float
    send_by: float


class AttemptRunner:
    """Runs attempts in several threads at once. No method raises: one bad order must not stop the others."""

    def __init__(
        self,
        mail_sender: MailSender,
        policy: Policy,
        breaker: Breaker,
        limiter: RateLimiter,
        clock: ClockWatch,
        process_locks: ProcessLocks,
    ) -> None:
        self._clock = clock
        self._mail_sender = mail_sender
        self._policy = policy
        self._breaker = breaker
        self._limiter = limiter
        self._process_locks = process_locks
        self._denials = Denials()
        self._sending = 0
        self._has_asked_for_less = False
        self._lock = threading.Lock()
        self._is_cut_off = threading.Event()

    def must_give_back(self) -> bool:
        """Whether mails that no thread has begun must be returned to the outbox.

        True while the relay is paused, and once after each reply that asks to slow down.
        """
        has_asked, self._has_asked_for_less = self._has_asked_for_less, False
        return has_asked or self._breaker.is_open

    def begin(self, mail: ClaimedMail, send_by: float) -> Attempt | FinishedAttempt:
        """Render a mail. Returns a finished attempt if it cannot or must not be sent."""
        began = time.monotonic()
        if is_expired(mail):
            return FinishedAttempt.of(mail, EXPIRED if self._clock.is_trusted else WAITS_FOR_CLOCK)
        try:
            return Attempt(mail, self._mail_sender.prepare(mail), began, send_by)
        except Exception as exc:
            return self._failed(mail, exc, began)

    def send(self, attempt: Attempt, following: Attempt | None) -> FinishedAttempt:
        """Send a mail, and announce the following one if there is one."""
        with self._lock:
            self._sending += 1
        self._process_locks.note_begun(number_of(attempt.mail))
        try:
            reply = self._mail_sender.send(attempt.message, following.message if following else None)
        except Exception as exc:
            return self._failed(attempt.mail, exc, attempt.began)
        finally:
            with self._lock:
                self._sending -= 1
        if not attempt.mail.is_copy:  # a relay may accept the merchant's own address alone
            self._denials.note_accepted(attempt.mail, attempt.began)
        self._learn(None, attempt.mail, attempt.began)
        result = AttemptResult("end_of_data", reply.code, reply.text, time.monotonic() - attempt.began)
        return FinishedAttempt.of(attempt.mail, SENT, result)

    def must_release(self, attempt: Attempt) -> bool:
        """Whether a mail must not be sent: the previous one took too long, or the relay has been paused meanwhile."""
        return self._breaker.is_open or time.monotonic() > attempt.send_by

    def release(self, attempt: Attempt) -> FinishedAttempt:
        """Drop a mail that may have been announced."""
        self._mail_sender.abandon(attempt.message)
        return FinishedAttempt.of(attempt.mail, RELEASED)

    def cut_off(self) -> None:
        """Abort all sends in progress: before the end of the data they are released, after it they become unknown."""
        self._is_cut_off.set()
        self._mail_sender.abort()

    def _failed(self, mail: ClaimedMail, exc: Exception, began: float) -> FinishedAttempt:
        failure = _without_personal_data(exc, mail)
        if isinstance(failure, DeliveryFailure):
            if mail.is_copy:
                failure = _about_copy(failure)
            else:
                failure = self._denials.classify(failure, mail, time.monotonic())
        elif not isinstance(exc, OrderConfirmError):
            log.error("a mail could not be rendered", extra=ids(mail), exc_info=failure)
        self._learn(failure, mail, began)
        result = _result(failure, time.monotonic() - began)
        if self._is_cut_off.is_set() and not isinstance(failure, UnknownOutcome):
            return FinishedAttempt.of(mail, RELEASED, result)
        policy = replace(self._policy, holds_unknown=False) if mail.is_copy else self._policy
        outcome = decide(failure, mail, policy, random.random(), self._clock.is_trusted)  # noqa: S311
        return FinishedAttempt.of(mail, outcome, result)

    def _learn(self, failure: Exception | None, mail: ClaimedMail, began: float) -> None:
        """Update the breaker and the rate limiter after an attempt begun at `began`; without a failure, it was sent."""
        now = time.monotonic()
        pause = self._breaker.pause
        if isinstance(failure, SlowDown | TooManyConnections):
            self._has_asked_for_less = True
        if self._limiter.ended(now, was_refused=isinstance(failure, SlowDown)):
            log.warning("the relay asks to slow down", extra={"rate": self._limiter.rate})
        if failure is None or (isinstance(failure, TryLater | Refused | Denied) and failure.code):
            if self._breaker.reset(began) and pause:
                log.warning("the relay accepts mail again", extra={"duration_ms": round((now - pause.since) * 1000)})
        elif isinstance(failure, TooManyConnections) and self._sending > 0:
            self._limiter.too_many_connections(self._sending, now)
        elif isinstance(failure, RelayTrouble) and not isinstance(failure, SlowDown):
            advice = self._mail_sender.advise(failure)
            if self._breaker.trip(failure, now, advice) and (pause := self._breaker.pause):
                reply = {"stage": failure.stage, "code": failure.code, "reason": failure.text, "advice": advice}
                next_try = datetime.now(UTC) + timedelta(seconds=pause.until - now)
                extra = {**ids(mail), **reply, "next_try_at": next_try.isoformat(timespec="seconds")}
                log.error("the relay is paused", extra=extra)


def ids(mail: ClaimedMail) -> dict[str, Any]:
    """Return the fields of a log line that name a mail."""
    return {"request_id": mail.request_id, "order_id": mail.order_id, "shop": mail.shop}


def _without_personal_data(exc: Exception, mail: ClaimedMail) -> OrderConfirmError:
    """Return the failure with its text masked: it is logged, shown on the status pages, and kept with the mail."""
    if isinstance(exc, DeliveryFailure):
        masked = type(exc)(exc.stage, mask_personal_data(exc.text, mail.payload), exc.code, exc.retry_after)
        masked.__cause__ = exc.__cause__  # an advice depends on it
        return masked
    text = str(exc) if isinstance(exc, OrderConfirmError) else f"{type(exc).__name__}: {exc}"
    return OrderConfirmError(mask_personal_data(text, mail.payload)).with_traceback(exc.__traceback__)


def _about_copy(failure: DeliveryFailure) -> DeliveryFailure:
    """Return a failure to send a merchant's copy. From RCPT TO on, its address may be the cause.

    So it is no reason to pause the customers' mails, except when the relay asks for less.
    """
    may_be_address = failure.stage in ORDER_STAGES and isinstance(failure, RelayTrouble | Denied)
    if not may_be_address or isinstance(failure, SlowDown | TooManyConnections):
        return failure
    return TryLater(failure.stage, failure.text, failure.code, failure.retry_after)


def _result(failure: Exception, seconds: float) -> AttemptResult:
    if isinstance(failure, DeliveryFailure):
        return AttemptResult(failure.stage, failure.code, failure.text, seconds)
    return AttemptResult("render", None, str(failure), seconds)
