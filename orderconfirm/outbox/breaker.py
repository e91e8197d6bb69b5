"""One breaker for the whole relay: while it is away nobody knocks but one probe, and no order pays for it."""

from __future__ import annotations

import threading

from orderconfirm.errors import RelayMisconfigured, RelayTrouble

#: Seconds until the first probe; each failed probe doubles the pause up to the longest.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
#: A wrong password tried more often than this ends in a locked account.
MISCONFIGURED_PAUSE = 60.0


class Breaker:
    """Closed: all may send. Open: nobody until the pause is over, then one probe at a time.

    Times are seconds of a monotonic clock, passed in.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pause = 0.0
        self._open_until = 0.0

    def trip(self, trouble: RelayTrouble, now: float) -> bool:
        """Note trouble. True when this opened the breaker, False when it was open already."""
        with self._lock:
            was_closed = not self._pause
            if now >= self._open_until:
                self._pause = self._next_pause(trouble)
                self._open_until = now + self._pause
            return was_closed

    def reset(self) -> bool:
        """Note that the relay took a mail. True when this closed the breaker."""
        with self._lock:
            was_open = bool(self._pause)
            self._pause = self._open_until = 0.0
            return was_open

    def allowance(self, seats: int, busy: int, now: float) -> int:
        """How many mails may be started now, of `seats` free ones while `busy` are under way."""
        with self._lock:
            if not self._pause:
                return seats
            return 0 if busy or now < self._open_until else min(seats, 1)

    def seconds_left(self, now: float) -> float | None:
        """Seconds until the next probe; None when the breaker is closed."""
        with self._lock:
            return max(0.0, self._open_until - now) if self._pause else None

    def _next_pause(self, trouble: RelayTrouble) -> float:
        if trouble.retry_after:
            return trouble.retry_after
        if isinstance(trouble, RelayMisconfigured):
            return MISCONFIGURED_PAUSE
        return min(self._pause * 2, LONGEST_PAUSE) if self._pause else FIRST_PAUSE
