"""A watch on the database's clock: whether it jumped, and what may be concluded from its times since.

Leases, retention and giving up are differences of times that the database's clock told. A machine that comes up with
its clock 40 days ahead must not delete the content of every finished order, nor give up those that are still retried.
"""

from __future__ import annotations

import logging

from orderconfirm.outbox.queue import OutboxQueue

log = logging.getLogger(__name__)

#: A clock that is off by this many seconds since the last look has jumped: leases may only seem to have run out.
JUMP_SECONDS = 5.0
#: More seconds ahead are implausible while the service runs: clocks are corrected by less.
MAX_JUMP = 3600.0
#: After a longer time without an event in the outbox a start is suspicious: nobody used it, or the clock is wrong.
MAX_ABSENCE = 7 * 86400.0


class ClockWatch:
    """Times called `now` are seconds of a monotonic clock, passed in. Used by the dispatcher's thread alone."""

    def __init__(self, queue: OutboxQueue, lease_seconds: float) -> None:
        self._queue = queue
        self._lease_seconds = lease_seconds
        self._seen: tuple[float, float] | None = None
        self._trusts_leases_from = 0.0
        self._unrecorded_jump = 0.0
        self.is_trusted = True

    def look(self, now: float) -> None:
        """Read the clock, and record an implausible jump for all processes. Raises OutboxUnavailable."""
        reading = self._queue.clock()
        is_first = self._seen is None
        jump = self.observe(reading.now, now)
        if is_first or jump < -JUMP_SECONDS:
            self._queue.rebase()
        if is_first and reading.last_event_at and reading.now - reading.last_event_at > MAX_ABSENCE:
            self._unrecorded_jump = reading.now - reading.last_event_at
        self.is_trusted = not reading.is_distrusted
        if self._unrecorded_jump and self.is_trusted:
            self.is_trusted = False
            self._queue.distrust_clock(self._unrecorded_jump)
            log.error(
                "the clock seems to have jumped ahead: for a day no content is deleted and no order expires or is given"
                " up. Correct the clock; if it is right, there is nothing to do",
                extra={"seconds": round(self._unrecorded_jump)},
            )
        self._unrecorded_jump = 0.0

    def observe(self, clock: float, now: float) -> float:
        """Compare a time that the database has just told with the last one. Returns the jump between them in seconds.

        Writes nothing, so that it may be asked between a claim and the start of what was claimed.
        """
        jump = (clock - self._seen[0]) - (now - self._seen[1]) if self._seen else 0.0
        self._seen = (clock, now)
        if abs(jump) > JUMP_SECONDS:
            log.warning("the database's clock jumped", extra={"seconds": round(jump)})
            self._trusts_leases_from = now + self._lease_seconds
        if jump > MAX_JUMP:
            self._unrecorded_jump = jump
            self.is_trusted = False
        return jump

    def trusts_leases(self, now: float) -> bool:
        """Whether a lease that seems to have run out has done so."""
        return now >= self._trusts_leases_from
