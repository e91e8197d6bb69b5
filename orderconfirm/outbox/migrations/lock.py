"""The lock that lets one process at a time migrate a database."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from orderconfirm.errors import OutboxUnavailable

log = logging.getLogger(__name__)

#: Seconds that a process waits while another one migrates, and between two tries to take the lock.
WAIT_TIMEOUT = 600.0
POLL_INTERVAL = 0.2
#: The key is that of the versions before there were migrations, which created their tables under it.
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(20250315)")


@contextmanager
def migration_lock(engine: Engine, timeout: float = WAIT_TIMEOUT) -> Iterator[Connection]:
    """Yield a connection for migrations, while no other process has one. Raises OutboxUnavailable after `timeout`.

    On SQLite it is in a transaction that holds the write lock and is committed at the end. On PostgreSQL a transaction
    of another connection holds an advisory lock, so that the migrations may commit when they like. (A lock of the
    session would outlive this process in a session of a pooler.)
    """
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            _wait_until(lambda: _has_begun(connection), timeout)
            yield connection
            connection.commit()
        else:
            with engine.connect() as holder:
                _wait_until(lambda: _is_locked(holder), timeout)
                yield connection


def _wait_until(is_locked: Callable[[], bool], timeout: float) -> None:
    give_up_at = time.monotonic() + timeout
    if is_locked():
        return
    log.warning("waiting for another process before the database is migrated", extra={"seconds_at_most": timeout})
    while time.monotonic() < give_up_at:
        time.sleep(POLL_INTERVAL)
        if is_locked():
            return
    raise OutboxUnavailable(
        f"the database was not migrated: another process has held its lock for {timeout:g} s: try again later"
    )


def _has_begun(connection: Connection) -> bool:
    """Whether SQLite's write lock is taken now."""
    try:
        connection.begin()
    except OperationalError as exc:
        # The low byte is the primary result code.
        if getattr(exc.orig, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _is_locked(holder: Connection) -> bool:
    """Whether the advisory lock is taken now. A session that waited for it would block CREATE INDEX CONCURRENTLY."""
    if holder.execute(_TRY_LOCK).scalar_one():
        return True
    holder.rollback()
    return False
