"""Process locks for PostgreSQL: an advisory lock per process, held by a connection of its own.

The server releases the lock when the connection ends, and closes connections to machines that have disappeared. A
process that loses its connection takes the lock again within a second, so only a longer absence means that it has
died. The same connection listens for the notification that mails are due.

A connection pooler such as PgBouncer shares sessions among its clients, so that neither locks nor notifications work
through it. Then the leases decide, and due mails are found by polling.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import select
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from orderconfirm.errors import OutboxUnavailable
from orderconfirm.outbox.postgres_connection import is_pooled
from orderconfirm.outbox.process_locks import Verdict

if TYPE_CHECKING:
    import psycopg

log = logging.getLogger(__name__)

#: The notification that mails are due. It is sent when the transaction is committed, and wakes all that listen.
NOTIFY_DUE = "NOTIFY orderconfirm_due"
_LISTEN = "LISTEN orderconfirm_due"
#: Seconds that a start waits for the lock.
CLAIM_TIMEOUT = 10.0
#: Seconds between two checks of the connection, and between two tries to connect again.
CHECK_INTERVAL = 2.0
RECONNECT_INTERVAL = 0.5
#: Seconds without its lock after which a living process sends nothing more, and after which the others take its mails.
#: In between, a send that was begun before can end.
MAX_INVISIBLE_SECONDS = 4.0
MIN_ABSENT_SECONDS = 9.0
#: Prefix of the names of processes behind a pooler. Every other name is a lock's key in hexadecimal.
_WITHOUT_LOCK = "pooled-"

_SERVER_STARTED = text("SELECT CAST(extract(epoch FROM pg_postmaster_start_time()) AS double precision)")
#: The keys of all advisory locks in this database, as PostgreSQL splits 64-bit keys into two numbers.
_HELD = text(
    "SELECT classid::bigint, objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class SessionLocks:
    """The locks of the processes that share a PostgreSQL database (see ProcessLocks)."""

    def __init__(self, engine: Engine) -> None:
        """`engine` connects without a pool, in autocommit mode."""
        self.owner = ""
        self._engine = engine
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        #: Set once the lock was held for the first time, or a pooler was found.
        self._is_settled = threading.Event()
        self._is_held = False
        self._lost_at = -math.inf
        #: When the lock of a process was first seen to be absent, by the monotonic clock.
        self._absent_since: dict[str, float] = {}
        self._wake_reader, self._wake_writer = -1, -1

    @property
    def is_visible(self) -> bool:
        is_pooled = self.owner.startswith(_WITHOUT_LOCK)
        return is_pooled or self._is_held or time.monotonic() < self._lost_at + MAX_INVISIBLE_SECONDS

    def claim(self, on_due: Callable[[], None]) -> None:
        self.owner = secrets.token_hex(8)
        self._stopping.clear()
        self._is_settled.clear()
        self._wake_reader, self._wake_writer = os.pipe()
        self._thread = threading.Thread(target=self._run, args=(on_due,), name="process-lock", daemon=True)
        self._thread.start()
        if not self._is_settled.wait(CLAIM_TIMEOUT):
            self.release()
            raise OutboxUnavailable(f"the process lock could not be taken in {CLAIM_TIMEOUT:g} s")

    def release(self) -> None:
        if self._thread is None:
            return
        self._stopping.set()
        os.write(self._wake_writer, b"\0")
        self._thread.join()
        self._thread = None
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def note_begun(self, mail_id: int) -> None:
        """Do nothing: a note in the database would cost each mail a commit."""

    def note_settled(self, mail_id: int) -> None:
        """Do nothing, as `note_begun`."""

    def begun_by(self, owner: str) -> set[int] | None:
        return None

    def verdict(self, connection: Connection, owners: Mapping[str, float]) -> Verdict:
        """Compare the names with the locks that are held.

        When a server restarts, all processes lose their locks. So ignore a missing lock if the process was last seen
        before the restart. Otherwise it counts as dead once the lock has been missing for MIN_ABSENT_SECONDS.
        """
        started = connection.execute(_SERVER_STARTED).scalar_one()
        held = {f"{high:08x}{low:08x}" for high, low in connection.execute(_HELD)}
        now = time.monotonic()
        dead, living = [], []
        for owner, seen_at in owners.items():
            if owner in held:
                living.append(owner)
                self._absent_since.pop(owner, None)
            elif not owner.startswith(_WITHOUT_LOCK) and seen_at > started:
                if now - self._absent_since.setdefault(owner, now) >= MIN_ABSENT_SECONDS:
                    dead.append(owner)
        return Verdict(dead, living)

    def forget(self, owners: Collection[str]) -> None:
        self._absent_since = {owner: since for owner, since in self._absent_since.items() if owner in owners}

    def _run(self, on_due: Callable[[], None]) -> None:
        import psycopg

        while not self._stopping.is_set():
            try:
                with closing(self._connect()) as session:
                    if is_pooled(session):
                        self.owner = _WITHOUT_LOCK + self.owner[: 16 - len(_WITHOUT_LOCK)]
                        log.warning(
                            "DATABASE_URL leads to a connection pooler: due mails are found by polling, and the mails "
                            "of a dead process wait until their lease ends"
                        )
                        self._is_settled.set()
                        return
                    self._hold(session, on_due)
            except (DBAPIError, psycopg.Error, OSError) as exc:
                if self._is_held:
                    log.warning("the process lock is lost; taking it again", extra={"reason": type(exc).__name__})
            if self._is_held:
                self._is_held, self._lost_at = False, time.monotonic()
            self._stopping.wait(RECONNECT_INTERVAL)

    def _connect(self) -> psycopg.Connection[Any]:
        connection = self._engine.raw_connection()
        connection.detach()  # SQLAlchemy would try to reset it when it is lost
        return cast("psycopg.Connection[Any]", connection.dbapi_connection)

    def _hold(self, session: psycopg.Connection[Any], on_due: Callable[[], None]) -> None:
        """Hold the lock and pass notifications on until the stop. Raises psycopg.Error when the connection is lost."""
        session.execute(_LISTEN)
        # The server may not have noticed yet that this process's last connection is gone.
        session.execute("SELECT pg_advisory_lock(%s)", (_signed(int(self.owner, 16)),))
        self._is_held = True
        on_due()
        self._is_settled.set()
        while not self._stopping.is_set():
            readable, _, _ = select.select([session.fileno(), self._wake_reader], [], [], CHECK_INTERVAL)
            if not readable:
                session.execute("SELECT 1")
            elif any(True for _ in session.notifies(timeout=0)):
                on_due()


def _signed(key: int) -> int:
    """Return an unsigned 64-bit number as the signed one with the same bits."""
    return key - (1 << 64) if key >= 1 << 63 else key
