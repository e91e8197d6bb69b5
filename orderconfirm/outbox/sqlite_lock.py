"""Fair access to SQLite's write lock for processes that share a file.

SQLite's busy handler sleeps up to 100 ms between two tries, while a busy process takes the lock again within
microseconds, so that the others wait for seconds. Here a process first takes the turnstile, a lock on a file next to
the database, and holds it until it has the write lock. The previous holder of the write lock then queues behind it.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

#: Seconds between two tries.
POLL_INTERVAL = 0.001
#: Seconds that a process waits for the turnstile before it requests the write lock without it.
TURNSTILE_TIMEOUT = 1.0


class TurnstileLock:
    """Begins write transactions on one SQLite file."""

    def __init__(self, database: Path, timeout: float) -> None:
        """A transaction waits up to `timeout` seconds for the lock."""
        self._turnstile = database.with_name(f"{database.name}.turnstile")
        self._timeout = timeout

    def begin(self, connection: Connection) -> None:
        """Start a transaction that holds the write lock. Raises OperationalError (SQLITE_BUSY) after the timeout.

        The connection must have no busy handler of its own: `PRAGMA busy_timeout=0`.
        """
        give_up_at = time.monotonic() + self._timeout
        turnstile = os.open(self._turnstile, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            # A stopped process may hold the turnstile without the lock: fairness is not worth a longer wait.
            _poll(lambda: _try_flock(turnstile), min(give_up_at, time.monotonic() + TURNSTILE_TIMEOUT))
            if not _poll(lambda: _try_begin(connection), give_up_at):
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # so that the error is SQLite's own
        finally:
            os.close(turnstile)


def _poll(is_done: Callable[[], bool], give_up_at: float) -> bool:
    """Return True once `is_done` does, False after `give_up_at`."""
    while not is_done():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(POLL_INTERVAL)
    return True


def _try_flock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _try_begin(connection: Connection) -> bool:
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except OperationalError as exc:
        # The low byte is the primary result code.
        if getattr(exc.orig, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True
