"""Rate and connection limits: the configured rate, and limits learned from the relay's replies."""

from __future__ import annotations

import threading
from collections import deque

from orderconfirm.settings.values import Rate

#: Seconds over which accepted mails are counted: the longest known window of a relay.
MEMORY = 10.0
#: Minimum seconds from which a rate is estimated.
MIN_SAMPLE = 0.25
#: A rate is learned when this many mails, and this share of all, were refused: a few refusals occur under any load.
MIN_REFUSALS = 3
REFUSED_SHARE = 0.1
#: A learned rate grows by this factor each second. Above MAX_LEARNED_RATE mails per second it is dropped.
RECOVERY = 1.05
MAX_LEARNED_RATE = 1000.0
#: After this many refusals in a row the relay accepts nothing now: sending pauses, twice as long each time.
REFUSALS_IN_A_ROW = 5
MAX_HOLD = 10.0
#: Seconds until one more connection is tried after the relay reported too many.
CONNECTION_RECOVERY = 60.0
UNLIMITED = 1_000_000


class RateLimiter:
    """Limits how many mails may be claimed, so that neither a thread nor a lease waits for its turn.

    Times are seconds of a monotonic clock, passed in. A mail counts against `limit` from its claim until one window
    after its end, so the limit holds whenever the relay counts it, between MAIL FROM and its last reply.
    """

    def __init__(self, limit: Rate | None = None) -> None:
        self._total = self._limit = limit
        self._has_share = False
        self._lock = threading.Lock()
        self._ended: deque[float] = deque()
        self._taken: deque[float] = deque()
        self._refused: deque[float] = deque()
        self._rate: float | None = None
        self._credit = 0.0
        self._counted_at = 0.0
        self._refusals_in_a_row = 0
        self._hold = 0.0
        self._held_until = 0.0
        self._max_connections = UNLIMITED
        self._connections_at = 0.0

    def set_share(self, part: int, whole: int, is_alone: bool, now: float) -> None:
        """Keep to `part` of `whole` equal parts of the limit.

        A newly gained part counts as used, because another sender may just have used it.
        """
        if not self._total or not part:
            return
        share = self._total.share(part, whole)
        with self._lock:
            before = self._limit.count if self._limit and self._has_share else share.count * is_alone
            self._ended.extend([now] * (share.count - before))
            self._limit, self._has_share = share, True

    @property
    def rate(self) -> float | None:
        """The learned rate in mails per second; None without one."""
        return self._rate

    def allowance(self, room: int, busy: int, now: float) -> int:
        """Return how many mails may start now, with `room` for further leases and `busy` mails leased."""
        with self._lock:
            if now < self._held_until:
                return 0
            if self._limit:
                _forget(self._ended, now - self._limit.seconds)
                room = min(room, self._limit.count - len(self._ended) - busy)
            if self._rate is not None:
                self._grow(now)
                room = min(room, int(self._credit))
            room = min(room, self._connections(now) - busy)
            return max(0, room)

    def started(self) -> None:
        """Record that a mail was claimed."""
        with self._lock:
            self._credit -= 1

    def ended(self, now: float, was_refused: bool) -> bool:
        """Record the end of an attempt. Unless it `was_refused` because of the rate, it counts as accepted.

        Return True if this call caused a rate to be learned.
        """
        with self._lock:
            was_free = self._rate is None
            if self._limit:
                self._ended.append(now)
            if was_refused:
                self._learn(now)
            else:
                self._taken.append(now)
                _forget(self._taken, now - MEMORY)
                self._refusals_in_a_row, self._hold = 0, 0.0
            return was_free and self._rate is not None

    def too_many_connections(self, busy: int, now: float) -> None:
        """Record that the relay refused a connection while `busy` others were open."""
        with self._lock:
            self._max_connections = max(1, min(busy, self._connections(now)))
            self._connections_at = now

    def seconds_left(self, now: float) -> float:
        """Return the seconds until more mails may be allowed, when none is now."""
        with self._lock:
            waits = [self._held_until - now]
            if self._limit and self._ended:
                waits.append(self._ended[0] + self._limit.seconds - now)
            if self._rate is not None:
                waits.append((1 - self._credit) / self._rate)
            return max(0.0, *waits)

    def _connections(self, now: float) -> int:
        return self._max_connections + int((now - self._connections_at) / CONNECTION_RECOVERY)

    def _learn(self, now: float) -> None:
        self._refused.append(now)
        self._refusals_in_a_row += 1
        for times in (self._taken, self._refused):
            _forget(times, now - MEMORY)
        taken, refused = len(self._taken), len(self._refused)
        if refused >= MIN_REFUSALS and refused > REFUSED_SHARE * (taken + refused):
            # Use the rate at which the relay accepted mail recently.
            sample = max(MIN_SAMPLE, now - self._taken[0]) if taken else MEMORY
            self._rate = max(1, taken) / sample
            self._credit = min(self._credit, 1.0)
            self._counted_at = now
        if self._refusals_in_a_row >= REFUSALS_IN_A_ROW and now >= self._held_until:
            self._hold = min(2 * self._hold or 1.0, MAX_HOLD)
            self._held_until = now + self._hold

    def _grow(self, now: float) -> None:
        rate = self._rate or 0.0
        passed = max(0.0, now - self._counted_at)
        self._counted_at = now
        self._credit = min(self._credit + rate * passed, max(1.0, rate))
        self._rate = rate * RECOVERY**passed
        if self._rate > MAX_LEARNED_RATE:
            self._rate = None


def _forget(times: deque[float], before: float) -> None:
    while times and times[0] <= before:
        times.popleft()
