"""The retry rule: what follows from an attempt. Pure functions, with time and chance as arguments."""

from __future__ import annotations

from dataclasses import dataclass

from orderconfirm.errors import ORDER_STAGES, DeliveryFailure, Denied, RelayTrouble, SlowDown, TryLater, UnknownOutcome
from orderconfirm.models import ClaimedMail, Event, State

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
    """The next state of a claimed mail. A mail in a due state is due again in `delay` seconds."""

    state: State
    event: Event
    reason: str | None = None
    delay: float = 0.0
    spends_attempt: bool = True
    may_be_copy: bool = False


SENT = Outcome(State.SENT, Event.SENT)
#: Not sent, because the service is stopping. The mail is as if it had never been claimed.
RELEASED = Outcome(State.QUEUED, Event.RELEASED, spends_attempt=False)
EXPIRED = Outcome(State.EXPIRED, Event.EXPIRED, "send_before has passed", spends_attempt=False)
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


def decide(failure: Exception, mail: ClaimedMail, policy: Policy, chance: float, trusts_clock: bool = True) -> Outcome:
    """Return what follows from `failure`.

    `chance` is a random number from 0 to 1. Unless `trusts_clock`, nothing is given up and nothing expires. A failure
    that is no DeliveryFailure (a template, an unreadable row) is the order's own fault.
    """
    if isinstance(failure, RelayTrouble | Denied):
        delay = failure.retry_after or _delay_of_trouble(failure, policy, chance)
        return Outcome(State.QUEUED, Event.DEFERRED, str(failure), delay, spends_attempt=False)
    if isinstance(failure, UnknownOutcome):
        return _after_unknown(failure, mail, policy, trusts_clock)
    if isinstance(failure, TryLater):
        delay = failure.retry_after or _delay(mail.attempts, policy, chance)
        again = Outcome(State.QUEUED, Event.DEFERRED, str(failure), delay)
        return (_give_up(failure, mail, policy, delay) if trusts_clock else None) or again
    return Outcome(State.FAILED, Event.FAILED, str(failure))


def _after_unknown(failure: UnknownOutcome, mail: ClaimedMail, policy: Policy, trusts_clock: bool) -> Outcome:
    if policy.holds_unknown:
        return Outcome(State.HELD, Event.HELD, str(failure), may_be_copy=True)
    doubled = policy.unknown_delay * 2 ** min(mail.possible_copies, 16)
    delay = min(doubled, max(policy.unknown_delay, MAX_UNKNOWN_DELAY))
    again = Outcome(State.UNKNOWN, Event.UNKNOWN, str(failure), delay, may_be_copy=True)
    return (_give_up(failure, mail, policy, delay) if trusts_clock else None) or again


def _give_up(failure: DeliveryFailure, mail: ClaimedMail, policy: Policy, delay: float) -> Outcome | None:
    """The end of a mail whose next try would come too late; None while there is time."""
    is_unknown = isinstance(failure, UnknownOutcome)
    age = (mail.claimed_at - mail.tried_at).total_seconds() if mail.tried_at else 0.0
    if age + delay > policy.give_up_after:
        reason = f"given up after {age / 3600:.0f} h: {failure}"
        return Outcome(State.FAILED, Event.FAILED, reason, may_be_copy=is_unknown)
    if mail.send_before and (mail.send_before - mail.claimed_at).total_seconds() <= delay:
        reason = f"send_before comes before the next try: {failure}"
        return Outcome(State.EXPIRED, Event.EXPIRED, reason, may_be_copy=is_unknown)
    return None


def _delay_of_trouble(failure: DeliveryFailure, policy: Policy, chance: float) -> float:
    """Before the breaker or the pace lets the next mail go, this one need not be held back for long, or at all."""
    return _delay(0, policy, chance) if failure.stage in ORDER_STAGES and not isinstance(failure, SlowDown) else 0.0


def _delay(attempts: int, policy: Policy, chance: float) -> float:
    """The delay before the next try; the last one repeats."""
    base = policy.delays[min(attempts, len(policy.delays) - 1)]
    return base * (1 - JITTER + 2 * JITTER * chance)
