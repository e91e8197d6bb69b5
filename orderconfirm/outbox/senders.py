"""The processes that send mails, and the division of each relay account's limits among them.

A relay counts connections and mails by account, not by process. So each sender has a row for each account with the
number of connections that it may have open, and the rows of an account together never exceed the account's limit. A
sender that joins takes only what is free: it waits until the others have closed their surplus connections.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Double, Row, bindparam, delete, func, insert, select, text

from orderconfirm.outbox.breaker import Pause
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.process_locks import ProcessLocks
from orderconfirm.outbox.rows import stored_text
from orderconfirm.outbox.sql import now as database_now
from orderconfirm.outbox.tables import senders
from orderconfirm.queries import COMMON_ACCOUNT, RelayPause

#: Seconds between two looks at the other senders: while the shares are settled, and while they are not.
LOOK_INTERVAL = 2.0
UNSETTLED_INTERVAL = 0.25
#: Seconds between updates of `seen_at` on PostgreSQL.
SIGN_INTERVAL = 20.0
#: Seconds without an update after which a row is deleted, unless a lock shows that the process lives.
SILENCE = 60.0

_READ_ALL = select(senders, (database_now - senders.c.seen_at).label("silence")).order_by(
    senders.c.joined_at, senders.c.name
)
_READ = _READ_ALL.where(senders.c.account == bindparam("of_account"))
_LOCK_TABLE = text("LOCK TABLE senders IN EXCLUSIVE MODE")
_DELETE = delete(senders).where(
    senders.c.account == bindparam("of_account"), senders.c.name.in_(bindparam("names", expanding=True))
)
_ADD = insert(senders).values(
    name=bindparam("name"),
    account=bindparam("account"),
    connections=bindparam("connections"),
    joined_at=func.coalesce(bindparam("joined_at", type_=Double), database_now),
    seen_at=database_now,
    paused_since=database_now - bindparam("paused_for", type_=Double),
    pause_reason=bindparam("reason"),
    next_try_at=database_now + bindparam("until_next_try", type_=Double),
    pause_advice=bindparam("advice"),
)


@dataclass(frozen=True, slots=True)
class Share:
    """A process's part of the relay's limits: how many connections it may open, and the number of other senders."""

    connections: int = 0
    others: int = 0


@dataclass(frozen=True, slots=True)
class _Division:
    """This process's share, what its row must say, and the rows of `gone` processes.

    It is settled when no process has to open or close a connection because of it.
    """

    share: Share
    held: int
    joined_at: float | None
    gone: frozenset[str]
    is_settled: bool
    is_recorded: bool


class Senders:
    """This process's row among those of all senders to a relay account. Only the dispatcher's thread uses it.

    Its methods raise OutboxUnavailable when the database fails. Times are seconds of a monotonic clock.
    """

    def __init__(self, database: Database, max_connections: int, account: str = COMMON_ACCOUNT) -> None:
        """`max_connections` is how many connections all senders together may have open."""
        self._database = database
        self._account = account
        self._locks = database.process_locks
        self._max_connections = max_connections
        self._share = Share()
        self._pause: Pause | None = None
        self._is_member = False
        self._written_at = 0.0
        self._look_at = 0.0

    def share(self, open_connections: int, pause: Pause | None, now: float) -> Share:
        """Return this process's share, which holds from now on.

        Connections above it count as this process's own until they are closed. `pause` is made known to the others.
        """
        if now < self._look_at and pause == self._pause:
            return self._share
        held = max(self._share.connections, open_connections)
        with self._database.reading() as connection:
            division = self._divide(connection, held)
        if not division.is_recorded or pause != self._pause or self._must_sign(now):
            division = self._database.write(lambda connection: self._record(connection, held, pause, now))
            self._is_member, self._pause, self._written_at = True, pause, now
        self._share = division.share
        self._look_at = now + (LOOK_INTERVAL if division.is_settled else UNSETTLED_INTERVAL)
        return self._share

    def seconds_to_look(self, now: float) -> float:
        """Return the seconds until `share` reads the rows again."""
        return max(0.0, self._look_at - now)

    def leave(self) -> None:
        """Delete this process's row, which frees its connections for the others. Call it once they are closed."""
        if self._is_member:
            self._database.write(lambda connection: self._delete(connection, [self._locks.owner]))
            self._is_member, self._share = False, Share()

    def _must_sign(self, now: float) -> bool:
        return self._database.dialect == "postgresql" and now > self._written_at + SIGN_INTERVAL

    def _divide(self, connection: Connection, held: int) -> _Division:
        """Divide the connections among the living senders. This one may have `held` open."""
        rows = {row.name: row for row in connection.execute(_READ, {"of_account": self._account})}
        own = rows.pop(self._locks.owner, None)
        gone = _gone(connection, self._locks, rows)
        others = {name: row for name, row in rows.items() if name not in gone}
        part, rest = divmod(self._max_connections, len(others) + 1)
        earlier = [
            row for row in others.values() if own is None or (row.joined_at, row.name) < (own.joined_at, own.name)
        ]
        part += len(earlier) < rest
        free = self._max_connections - sum(row.connections for row in others.values())
        connections = max(0, min(part, free))
        held = max(connections, held)
        return _Division(
            Share(connections, len(others)),
            held,
            own.joined_at if own else None,
            gone,
            is_settled=connections == part == held,
            is_recorded=own is not None and own.connections == held and not gone,
        )

    def _record(self, connection: Connection, held: int, pause: Pause | None, now: float) -> _Division:
        if self._database.dialect == "postgresql":
            # Two senders that join at once must not both take what is free. On SQLite the write lock prevents it.
            connection.execute(_LOCK_TABLE)
        division = self._divide(connection, held)
        self._delete(connection, [*division.gone, self._locks.owner])
        values: dict[str, Any] = {
            "name": self._locks.owner,
            "account": self._account,
            "connections": division.held,
            "joined_at": division.joined_at,
            "paused_for": now - pause.since if pause else None,
            "reason": stored_text(pause.reason) if pause else None,
            "until_next_try": pause.until - now if pause else None,
            "advice": pause.advice if pause else None,
        }
        connection.execute(_ADD, values).close()
        return division

    def _delete(self, connection: Connection, names: Sequence[str]) -> None:
        connection.execute(_DELETE, {"of_account": self._account, "names": names}).close()


def read_senders(database: Database) -> tuple[int, tuple[RelayPause, ...]]:
    """Return how many processes send, and of each paused account the longest pause. Raises OutboxUnavailable."""
    with database.reading() as connection:
        rows = connection.execute(_READ_ALL).all()
        gone = _gone(connection, database.process_locks, {row.name: row for row in rows})
    living = [row for row in rows if row.name not in gone]
    pauses: dict[str, RelayPause] = {}
    for row in sorted((row for row in living if row.paused_since is not None), key=lambda row: row.paused_since):
        pauses.setdefault(row.account, _to_pause(row))
    return len({row.name for row in living}), tuple(pauses.values())


def _gone(connection: Connection, locks: ProcessLocks, rows: Mapping[str, Row[Any]]) -> frozenset[str]:
    """Return the names of the senders that have ended without leaving."""
    dead, living = locks.verdict(connection, {name: row.seen_at for name, row in rows.items()})
    is_gone = {name: name in dead or (name not in living and row.silence > SILENCE) for name, row in rows.items()}
    return frozenset(name for name in rows if is_gone[name])


def _to_pause(row: Row[Any]) -> RelayPause:
    since, next_try_at = (datetime.fromtimestamp(at, UTC) for at in (row.paused_since, row.next_try_at))
    return RelayPause(row.account, row.pause_reason, since, next_try_at, row.pause_advice or "")
