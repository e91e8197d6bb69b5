"""Who keeps the service from writing: the holder of SQLite's write lock, or of a lock on PostgreSQL."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import text

from orderconfirm.errors import DatabaseStuck, OutboxUnavailable
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.time_limit import TimeLimited

T = TypeVar("T")

#: Seconds for the search for the holder.
SEARCH_TIMEOUT = 1.0

_LOCKS = Path("/proc/locks")
#: The process, the inode and the first byte of a lock: "1: POSIX  ADVISORY  WRITE 31778 fe:00:2197799 120 120".
_WRITE_LOCK = re.compile(r"POSIX +ADVISORY +WRITE +(\d+) \S+:(\d+) (\d+) ")
#: The byte of SQLite's -shm file that is locked during a transaction that writes (WAL_WRITE_LOCK in SQLite's wal.c).
_WRITE_LOCK_BYTE = "120"

#: The session at the end of the chain of those for which a session of this user waits.
_BLOCKING_SESSION = text("""
    SELECT blocking.pid, blocking.application_name, extract(epoch FROM now() - blocking.xact_start) AS seconds
    FROM pg_stat_activity AS waiting
    CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS found (pid)
    JOIN pg_stat_activity AS blocking ON blocking.pid = found.pid
    WHERE waiting.datname = current_database() AND waiting.usename = session_user
        AND waiting.wait_event_type = 'Lock' AND waiting.wait_event <> 'advisory'
        AND blocking.wait_event_type IS DISTINCT FROM 'Lock'
    ORDER BY blocking.xact_start
    LIMIT 1
""")


def name_lock_holder(database: Database, function: Callable[[], T], seconds: float) -> Callable[[], T]:
    """Return `function` with a time limit of `seconds`.

    If the database is stuck because of a lock, the OutboxUnavailable that it raises says who holds it.
    """
    limited = TimeLimited(function, seconds)
    search = TimeLimited(partial(describe_lock, database), SEARCH_TIMEOUT)

    def run() -> T:
        try:
            return limited()
        except DatabaseStuck as exc:
            lock = None
            with suppress(OutboxUnavailable):
                lock = search()
            if lock is None:
                raise
            raise OutboxUnavailable(lock) from exc

    return run


def describe_lock(database: Database) -> str | None:
    """Return a sentence with the holder of the lock for which this process waits, and what to do after a colon.

    None if nobody holds one, or if it cannot be found out. Raises OutboxUnavailable.
    """
    if database.file:
        pid = _holder_of_file(database.file)
        advice = "orders are refused until you end it or it finishes"
        return pid and f"the database is locked by another process, {pid}{_program(pid)}: {advice}"
    with database.reading() as connection:
        holder = connection.execute(_BLOCKING_SESSION).first()
    if holder is None:
        return None
    program = f" ({holder.application_name})" if holder.application_name else ""
    since = f", in a transaction for {holder.seconds:.0f} s" if holder.seconds is not None else ""
    return (
        f"the database is locked by another process, session {holder.pid}{program}{since}: "
        f"orders are refused until it finishes, or you end it with SELECT pg_terminate_backend({holder.pid})"
    )


def _holder_of_file(database: Path) -> str | None:
    """Return the id of another process that has locked SQLite's file for writing, from the system's table of locks.

    SQLite's files must not be opened for this: when a process closes one, it loses all its locks on it.
    """
    try:
        file, memory = (str(path.stat().st_ino) for path in (database, database.with_name(f"{database.name}-shm")))
        table = _LOCKS.read_text(encoding="ascii")
    except OSError:  # this system has no such table
        return None
    for pid, inode, byte in _WRITE_LOCK.findall(table):
        # A process locks a part of the file itself for writing only if it uses it alone.
        is_of_database = inode == file or (inode == memory and byte == _WRITE_LOCK_BYTE)
        if is_of_database and pid != str(os.getpid()):
            return str(pid)
    return None


def _program(pid: str) -> str:
    """Return the name of the process's program in parentheses, if it can be read."""
    with suppress(OSError):
        return f" ({Path('/proc', pid, 'comm').read_text(encoding='utf-8', errors='replace').strip()})"
    return ""
