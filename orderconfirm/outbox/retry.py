"""What becomes of a mail after an attempt: pure decisions, no clock, no chance of their own."""

from __future__ import annotations

from dataclasses import dataclass

from orderconfirm.errors import RelayTrouble, TryLater, UnknownOutcome
from orderconfirm.models import State

#: A delay varies by this share to either side, so that what failed together does not come back together.
JITTER = 0.2


@dataclass(frozen=True, slots=True)
class Policy:
    """When to try again (seconds) and when to stop."""

    delays: tuple[float, ...]
    give_up_after: float


@dataclass(frozen=True, slots=True)
class Settlement:
    """The next state of a claimed mail: due again in `delay` seconds, if its state is one that moves."""

    state: State
    event: str
    reason: str | None = None
    delay: float = 0.0
    spends_attempt: bool = True
    may_be_copy: bool = False


SENT = Settlement(State.SENT, "sent")
#: Given back unsent, as if never claimed: the service is stopping.
RELEASED = Settlement(State.QUEUED, "released", spends_attempt=False)
EXPIRED = Settlement(State.EXPIRED, "expired", "send_before has passed", spends_attempt=False)


def decide(failure: Exception, attempts: int, age: float, policy: Policy, chance: float) -> Settlement:
    """What to do after `failure`.

    `attempts` counts those before this one, `age` is the seconds since the order was accepted, `chance` is a random
    number from 0 to 1. Whatever is no DeliveryFailure (a template, a row that cannot be read) is the order's own fault.
    """
    if isinstance(failure, RelayTrouble):
        wait = failure.retry_after or 0.0
        return Settlement(State.QUEUED, "deferred", str(failure), wait, spends_attempt=False)
    if isinstance(failure, TryLater | UnknownOutcome):
        wait = failure.retry_after or _delay(attempts, policy, chance)
        is_unknown = isinstance(failure, UnknownOutcome)
        if age + wait > policy.give_up_after:
            reason = f"given up after {age / 3600:.0f} h: {failure}"
            return Settlement(State.FAILED, "failed", reason, may_be_copy=is_unknown)
        if is_unknown:
            return Settlement(State.UNKNOWN, "unknown", str(failure), wait, may_be_copy=True)
        return Settlement(State.QUEUED, "deferred", str(failure), wait)
    return Settlement(State.FAILED, "failed", str(failure))


def _delay(attempts: int, policy: Policy, chance: float) -> float:
    """The delay before the next try; the last one repeats."""
    base = policy.delays[min(attempts, len(policy.delays) - 1)]
    return base * (1 - JITTER + 2 * JITTER * chance)
