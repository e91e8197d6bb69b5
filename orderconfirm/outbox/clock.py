"""A monitor of the database's clock: whether it jumped, and whether its times can be trusted.

Leases, retention and giving up depend on the database's clock. A machine that starts with its clock 40 days
ahead must not delete the content of every finished order, nor give up mails that are still retried.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Table, bindparam, exists, func, insert, select, update

from orderconfirm.outbox.database import Database
from orderconfirm.outbox.sql import is_due_state, now
from orderconfirm.outbox.tables import clock_jumps, history, outbox

log = logging.getLogger(__name__)

#: A clock that deviates by more seconds since the last check has jumped, so that leases may only seem to have expired.
JUMP_SECONDS = 5.0
#: A jump ahead by more seconds is implausible while the service runs: corrections of a clock are smaller.
MAX_JUMP = 3600.0
#: After more seconds without an event in the outbox, a start is suspicious: it was unused, or the clock is wrong.
MAX_ABSENCE = 7 * 86400.0
#: Seconds after an implausible jump for which the clock is not trusted, so that a person can correct it.
DISTRUST_SECONDS = 86400.0


def _newest(table: Table, column: Column[float]) -> Any:
    last_id = select(func.max(table.c.id)).scalar_subquery()
    return select(column).where(table.c.id == last_id).scalar_subquery()


_last_jump = select(func.max(clock_jumps.c.noticed_at)).scalar_subquery()
_READ = select(
    now.label("now"),
    _newest(outbox, outbox.c.accepted_at).label("last_accepted"),
    _newest(history, history.c.at).label("last_event"),
    _last_jump.label("last_jump"),
    exists().where(clock_jumps.c.noticed_at <= now, clock_jumps.c.trusted_from > now).label("is_distrusted"),
)
_DISTRUST = insert(clock_jumps).values(
    noticed_at=now, trusted_from=now + bindparam("distrust"), seconds=bindparam("seconds")
)
#: Rows written before the clock was set back keep their remaining wait, counted from now.
_REBASE = (
    update(outbox)
    .where(is_due_state, outbox.c.changed_at > now)
    .values(due_at=now + (outbox.c.due_at - outbox.c.changed_at), changed_at=now)
)


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The database's clock and the time of the outbox's last event, in seconds since 1970.

    `is_distrusted` is true for a day after an implausible jump.
    """

    now: float
    last_event_at: float | None
    is_distrusted: bool


class ClockWatch:
    """Comparison of the database's clock with a monotonic one, whose seconds callers pass as `now`.

    Only the dispatcher's thread uses it.
    """

    def __init__(self, database: Database, lease_seconds: float) -> None:
        self._database = database
        self._lease_seconds = lease_seconds
        #: The database's and the monotonic clock at the last check.
        self._last_check: tuple[float, float] | None = None
        self._trusts_leases_from = 0.0
        self.is_trusted = True

    def check(self, now: float) -> None:
        """Read the clock, and record an implausible jump for all processes. Raises OutboxUnavailable."""
        reading = self.read()
        is_first = self._last_check is None
        jump = self._jump(reading.now, now)
        self._last_check = (reading.now, now)
        if abs(jump) > JUMP_SECONDS:
            log.warning("the database's clock jumped", extra={"seconds": round(jump)})
            self._trusts_leases_from = now + self._lease_seconds
        if is_first or jump < -JUMP_SECONDS:
            self._database.write(lambda connection: connection.execute(_REBASE).close())
        absence = reading.now - reading.last_event_at if is_first and reading.last_event_at else 0.0
        is_implausible = jump > MAX_JUMP or absence > MAX_ABSENCE
        self.is_trusted = not (reading.is_distrusted or is_implausible)
        if is_implausible and not reading.is_distrusted:
            self._distrust(max(jump, absence))

    def check_claim(self, claimed_at: float, now: float) -> None:
        """Stop trusting the clock if the time of a claim is far ahead of the last check.

        It writes nothing, because the claimed mails wait for it. The next check records the jump.
        """
        if self._jump(claimed_at, now) > MAX_JUMP:
            self.is_trusted = False

    def trusts_leases(self, now: float) -> bool:
        """Whether a lease that seems to have expired really has."""
        return now >= self._trusts_leases_from

    def read(self) -> ClockReading:
        """Read the database's clock."""
        with self._database.reading() as connection:
            row = connection.execute(_READ).one()
        written = (row.last_accepted, row.last_event, row.last_jump)
        # Later times were written while the clock was ahead, and say nothing about the time since.
        times = [time for time in written if time is not None and time <= row.now]
        return ClockReading(row.now, max(times, default=None), bool(row.is_distrusted))

    def _jump(self, clock: float, now: float) -> float:
        """Return by how many seconds the clock is ahead of where it should be since the last check."""
        return (clock - self._last_check[0]) - (now - self._last_check[1]) if self._last_check else 0.0

    def _distrust(self, seconds: float) -> None:
        values = {"seconds": seconds, "distrust": DISTRUST_SECONDS}
        self._database.write(lambda connection: connection.execute(_DISTRUST, values).close())
        log.error(
            "the clock seems to have jumped ahead: for a day no content is deleted, and no mail expires or is given up."
            " Correct the clock; if it is right, there is nothing to do",
            extra={"seconds": round(seconds)},
        )
