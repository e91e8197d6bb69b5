"""The retry rule: the mail's next state after a failure. Pure functions: the mail carries its claim time, in UTC."""

from __future__ import annotations

from dataclasses import dataclass

from orderconfirm.errors import ORDER_STAGES, DeliveryFailure, Denied, RelayTrouble, SlowDown, TryLater, UnknownOutcome
from orderconfirm.models import ClaimedMail, Event, State
from orderconfirm.outbox.causes import Cause

#: A delay varies by this share in both directions, so that mails that failed together are not retried together.
JITTER = 0.2
#: Seconds up to which the delay after unknown outcomes doubles.
MAX_UNKNOWN_DELAY = 3600.0


@dataclass(frozen=True, slots=True)
class Policy:
    """When to retry and when to give up, in seconds."""

    delays: tuple[float, ...]
    give_up_after: float
    unknown_delay: float = 600.0
    holds_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The next state of a claimed mail. A mail in a due state is due again in `delay` seconds.

    `cause` is why a mail is not sent for good, or held.
    """

    state: State
    event: Event
    reason: str | None = None
    delay: float = 0.0
    #: Whether this counts as an attempt. The first one that counts also sets the mail's `tried_at`, from which
    #: MAIL_GIVE_UP_AFTER is measured and which remains the mail's Date.
    spends_attempt: bool = True
    may_be_copy: bool = False
    cause: Cause | None = None


SENT = Outcome(State.SENT, Event.SENT)
#: Returned to the queue unsent: service stopping, relay paused, lease too short, or claim abandoned.
RELEASED = Outcome(State.QUEUED, Event.RELEASED, spends_attempt=False)
EXPIRED = Outcome(State.EXPIRED, Event.EXPIRED, "send_before has passed", spends_attempt=False, cause=Cause.TOO_LATE)
#: Neither sent nor expired, because the clock is not trusted.
WAITS_FOR_CLOCK = Outcome(
    State.QUEUED,
    Event.DEFERRED,
    "send_before has passed, but the clock has just jumped: waits until it is trusted again",
    delay=600.0,
    spends_attempt=False,
)


def is_expired(mail: ClaimedMail) -> bool:
    """Whether the mail's `send_before` has passed."""
    return mail.send_before is not None and mail.send_before <= mail.claimed_at


def decide(
    failure: Exception, mail: ClaimedMail, policy: Policy, random_value: float, trusts_clock: bool = True
) -> Outcome:
    """Return what follows from `failure`.

    `random_value` is from 0 to 1. Unless `trusts_clock`, no mail is given up and none expires. A failure that is not a
    DeliveryFailure (a template error, an unreadable order) is permanent.
    """
    if isinstance(failure, RelayTrouble | Denied):
        delay = failure.retry_after or _delay_of_trouble(failure, policy, random_value)
        return Outcome(State.QUEUED, Event.DEFERRED, str(failure), delay, spends_attempt=False)
    if isinstance(failure, UnknownOutcome):
        return _after_unknown(failure, mail, policy, trusts_clock)
    if isinstance(failure, TryLater):
        delay = failure.retry_after or _delay(mail.attempts, policy, random_value)
        again = Outcome(State.QUEUED, Event.DEFERRED, str(failure), delay)
        return (_give_up(failure, mail, policy, delay) if trusts_clock else None) or again
    cause = Cause.REFUSED if isinstance(failure, DeliveryFailure) else Cause.NOT_RENDERED
    return Outcome(State.FAILED, Event.FAILED, str(failure), cause=cause)


def _after_unknown(failure: UnknownOutcome, mail: ClaimedMail, policy: Policy, trusts_clock: bool) -> Outcome:
    if policy.holds_unknown:
        return Outcome(State.HELD, Event.HELD, str(failure), may_be_copy=True, cause=Cause.UNKNOWN_OUTCOME)
    doubled = policy.unknown_delay * 2 ** min(mail.possible_copies, 16)
    delay = min(doubled, max(policy.unknown_delay, MAX_UNKNOWN_DELAY))
    again = Outcome(State.UNKNOWN, Event.UNKNOWN, str(failure), delay, may_be_copy=True)
    return (_give_up(failure, mail, policy, delay) if trusts_clock else None) or again


def _give_up(failure: DeliveryFailure, mail: ClaimedMail, policy: Policy, delay: float) -> Outcome | None:
    """Return the final outcome of a mail whose next attempt would be too late; None while there is time."""
    is_unknown = isinstance(failure, UnknownOutcome)
    age = (mail.claimed_at - mail.tried_at).total_seconds() if mail.tried_at else 0.0
    if age + delay > policy.give_up_after:
        reason = f"given up after {age / 3600:.0f} h: {failure}"
        return Outcome(State.FAILED, Event.FAILED, reason, may_be_copy=is_unknown, cause=Cause.GIVEN_UP)
    if mail.send_before and (mail.send_before - mail.claimed_at).total_seconds() <= delay:
        reason = f"send_before comes before the next attempt: {failure}"
        return Outcome(State.EXPIRED, Event.EXPIRED, reason, may_be_copy=is_unknown, cause=Cause.TOO_LATE)
    return None


def _delay_of_trouble(failure: DeliveryFailure, policy: Policy, random_value: float) -> float:
    """Return the minimum delay after relay trouble, in seconds.

    From RCPT TO on it is the first retry delay, because the mail itself may be the cause; otherwise 0, because the
    breaker or the rate limiter decides.
    """
    may_be_mail = failure.stage in ORDER_STAGES and not isinstance(failure, SlowDown)
    return _delay(0, policy, random_value) if may_be_mail else 0.0


def _delay(attempts: int, policy: Policy, random_value: float) -> float:
    """Return the delay before the next attempt. The last one in the policy repeats."""
    base = policy.delays[min(attempts, len(policy.delays) - 1)]
    return base * (1 - JITTER + 2 * JITTER * random_value)
