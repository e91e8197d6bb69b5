"""What follows from an attempt: the retry schedule and the breaker of a host. Time and chance are passed in."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus

from orderconfirm.outbox.callback_queue import ClaimedCallback, FinishedPost
from orderconfirm.queries import CallbackState

#: Seconds between the eight attempts, 28 hours together.
DELAYS = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 36_000.0)
#: A delay is longer by up to this share, so that callbacks that failed together are not retried together.
JITTER = 0.2
#: Maximum seconds of a Retry-After that are respected.
MAX_RETRY_AFTER = 36_000.0
#: Attempts at a host that fail in a row before it is paused, and the seconds of the first and the longest pause.
MAX_FAILURES = 3
FIRST_PAUSE = 30.0
MAX_PAUSE = 900.0
#: Callbacks that are posted to one host at the same time.
MAX_PER_HOST = 2


@dataclass(frozen=True, slots=True)
class Response:
    """An endpoint's response, without a status when there was none. `reason` says what happened then.

    `retry_after` is in seconds.
    """

    status: int | None
    reason: str = ""
    retry_after: float | None = None

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        return self.status == HTTPStatus.GONE

    @property
    def problem(self) -> str | None:
        """Why this was no success."""
        if self.is_success:
            return None
        if self.status is None:
            return self.reason
        return f"HTTP {self.status}{', and redirects are not followed' if 300 <= self.status < 400 else ''}"


def decide(callback: ClaimedCallback, response: Response, url: str, random_value: float) -> FinishedPost:
    """Return what becomes of a callback after an attempt. `random_value` is from 0 to 1."""
    if response.is_success:
        return FinishedPost(callback, CallbackState.DELIVERED, 0.0, response.status, None)
    if response.is_gone:
        return FinishedPost(callback, CallbackState.GONE, 0.0, response.status, response.problem, gone_url=url)
    if callback.attempts >= len(DELAYS):
        return FinishedPost(callback, CallbackState.FAILED, 0.0, response.status, response.problem)
    delay = DELAYS[callback.attempts] * (1 + JITTER * random_value)
    delay = max(delay, min(response.retry_after or 0.0, MAX_RETRY_AFTER))
    return FinishedPost(callback, CallbackState.WAITING, delay, response.status, response.problem)


@dataclass(slots=True)
class HostBreaker:
    """Pauses a host that fails: then one callback at a time is tried, and the others lose no attempt.

    Times are seconds of a monotonic clock. `busy` is how many callbacks are being posted to the host.
    """

    busy: int = 0
    _failures: int = field(default=0)
    _paused_until: float = field(default=0.0)

    def allowance(self, now: float) -> int:
        """Return how many callbacks may be posted now."""
        if self._failures < MAX_FAILURES and now >= self._paused_until:
            return max(0, MAX_PER_HOST - self.busy)
        return 0 if self.busy or now < self._paused_until else 1

    def seconds_left(self, now: float) -> float:
        """Return the seconds until the end of the pause."""
        return max(0.0, self._paused_until - now)

    def ended(self, response: Response, now: float) -> bool:
        """Take note of a response. Returns whether the host is paused from now on, and was not before."""
        if response.is_success or response.is_gone:
            self._failures, self._paused_until = 0, 0.0
            return False
        was_paused = self._failures >= MAX_FAILURES or now < self._paused_until
        self._failures += 1
        doublings = self._failures - MAX_FAILURES
        pause = min(FIRST_PAUSE * 2 ** min(doublings, 10), MAX_PAUSE) if doublings >= 0 else 0.0
        pause = max(pause, min(response.retry_after or 0.0, MAX_RETRY_AFTER))
        self._paused_until = max(self._paused_until, now + pause)
        return pause > 0 and not was_paused
