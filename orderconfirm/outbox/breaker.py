"""Circuit breaker: while the relay is down, one probe at a time is sent and no order uses up an attempt."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from orderconfirm.errors import RelayMisconfigured, RelayTrouble

#: Seconds until the first probe. Each failed probe doubles the pause, up to MAX_PAUSE.
FIRST_PAUSE = 1.0
MAX_PAUSE = 10.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Why and since when no mails are sent, the time of the next probe, and what an operator does about it."""

    reason: str
    since: float
    until: float
    advice: str = ""


class Breaker:
    """Closed: all mails may be sent. Open: none until the pause is over, then one probe at a time.

    Times are seconds of a monotonic clock, passed in. `login_pause` is the pause, in seconds, while the relay refuses
    the login or the sender: more frequent attempts could lock the account.
    """

    def __init__(self, login_pause: float) -> None:
        self._login_pause = login_pause
        self._senders = 1
        self._lock = threading.Lock()
        self._pause = 0.0
        self._opened_at = 0.0
        self._reason = self._advice = ""
        self._open_until = 0.0
        self._tripped_at = 0.0

    @property
    def is_open(self) -> bool:
        return bool(self._pause)

    @property
    def pause(self) -> Pause | None:
        """The current pause; None while the breaker is closed."""
        with self._lock:
            return Pause(self._reason, self._opened_at, self._open_until, self._advice) if self._pause else None

    def set_senders(self, count: int) -> None:
        """Multiply the pause between logins, so that `count` senders together try as often as one alone."""
        self._senders = count

    def trip(self, trouble: RelayTrouble, now: float, advice: str = "") -> bool:
        """Record trouble, and what to do about it. Returns True if this opened the breaker, False if it was open."""
        with self._lock:
            was_closed = not self._pause
            if was_closed:
                self._opened_at = now
            if now >= self._open_until:
                self._reason, self._advice = str(trouble), advice
                self._pause = self._next_pause(trouble)
                self._open_until = now + self._pause
                self._tripped_at = now
            return was_closed

    def reset(self, began: float) -> bool:
        """Record that the relay handled a mail begun at `began`. Returns True if this closed the breaker.

        A mail that was already being sent when the trouble arose says nothing about a new login.
        """
        with self._lock:
            if self._pause and began < self._tripped_at:
                return False
            was_open = bool(self._pause)
            self._pause = self._open_until = 0.0
            return was_open

    def allowance(self, room: int, busy: int, now: float) -> int:
        """Return how many mails may start now, with `room` for further leases and `busy` mails leased."""
        with self._lock:
            if not self._pause:
                return room
            return 0 if busy or now < self._open_until else min(room, 1)

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds until the next probe; None when the breaker is closed."""
        with self._lock:
            return max(0.0, self._open_until - now) if self._pause else None

    def _next_pause(self, trouble: RelayTrouble) -> float:
        if isinstance(trouble, RelayMisconfigured):
            return max(self._login_pause * self._senders, trouble.retry_after or 0.0)
        if trouble.retry_after:
            return trouble.retry_after
        return min(self._pause * 2, MAX_PAUSE) if self._pause else FIRST_PAUSE
