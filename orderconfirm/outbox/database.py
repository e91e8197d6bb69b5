"""One database: its two engines, its writing thread, and the files that only SQLite has."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, delete, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.elements import ClauseElement

from orderconfirm.errors import OutboxUnavailable
from orderconfirm.metrics import counters
from orderconfirm.metrics.table import DATABASE_ERRORS
from orderconfirm.outbox.driver_statement import DriverStatement
from orderconfirm.outbox.engines import (
    LOCK_TIMEOUT,
    migrating_engine,
    reading_engine,
    session_engine,
    writing_engine,
)
from orderconfirm.outbox.file_locks import FileLocks
from orderconfirm.outbox.process_locks import ProcessLocks
from orderconfirm.outbox.schema import Schema
from orderconfirm.outbox.session_locks import SessionLocks
from orderconfirm.outbox.sqlite_files import SqliteFiles
from orderconfirm.outbox.tables import clock_jumps
from orderconfirm.outbox.writer import WRITE_TIMEOUT, Operation, Writer, run_jobs

T = TypeVar("T")

#: Seconds that a shop's request waits for its write on PostgreSQL, and then for the end of a commit that has begun. So
#: the shop gets a response within two seconds during an outage. On SQLite it waits longer: for another process's lock.
POSTGRES_ORDER_TIMEOUTS = (1.5, 0.5)
#: Seconds that a checkpoint waits for other processes to stop reading the write-ahead log.
CHECKPOINT_TIMEOUT = 1
#: Seconds for which `check_writable` relies on its last successful write.
WRITE_CHECK_INTERVAL = 5.0


class Database:
    """The database that holds the outbox. Every method raises OutboxUnavailable when it fails."""

    def __init__(
        self, url: str, password_file: str = "", write_timeout: float = WRITE_TIMEOUT, auto_migrate: bool = True
    ) -> None:
        """Open nothing yet. `url` is a DATABASE_URL. `password_file` has the password for it, if `url` has none.

        A caller waits up to `write_timeout` seconds for its write. With `auto_migrate`, `open` applies migrations.
        """
        self._writing = writing_engine(url, password_file)
        self._reading = reading_engine(url, password_file)
        self._auto_migrate = auto_migrate
        self.schema = Schema(self._reading, migrating_engine(url, password_file))
        self.dialect = self._writing.dialect.name
        name = self._writing.url.database
        self._files = SqliteFiles(Path(name)) if self.dialect == "sqlite" and name else None
        order_timeouts = POSTGRES_ORDER_TIMEOUTS if self.dialect == "postgresql" else None
        self._writer = Writer(self._writing, write_timeout, self._files, order_timeouts)
        self._is_log_saved = False
        self._was_writable_at = -WRITE_CHECK_INTERVAL
        self.process_locks: ProcessLocks = (
            FileLocks(self._files.lock_folder) if self._files else SessionLocks(session_engine(url, password_file))
        )

    def open(self, must_exist: bool = False) -> None:
        """Bring the tables up to date and start to accept writes. Call it after the fork.

        With `must_exist`, no new SQLite file is created in place of one that is missing.
        """
        if must_exist and self._files and not self._files.database.exists():
            raise OutboxUnavailable(f"{self._files.database} is missing: put it back")
        if self._files:
            self._files.check_permissions()
        try:
            self.schema.make_usable(self._auto_migrate)
        except OutboxUnavailable:
            self.close()
            raise
        if self._files:
            self._files.remember()
        self._writer.start()

    @property
    def file(self) -> Path | None:
        """SQLite's file, with links resolved; None on PostgreSQL."""
        return self._files.database if self._files else None

    @property
    def is_open(self) -> bool:
        """Whether writes are accepted."""
        return self._writer.is_running

    @property
    def has_died(self) -> bool:
        """Whether the writing thread has ended by itself, so that no write is possible any more."""
        return self._writer.has_died

    def close(self) -> None:
        """Finish the waiting writes and close all connections."""
        self._writer.stop()
        self._reading.dispose()
        self._writing.dispose()

    def compiled(self, statement: ClauseElement) -> DriverStatement:
        """Return `statement` for frequent execution."""
        return DriverStatement(statement, self._writing.dialect)

    def write(self, job: Callable[[Connection], T]) -> T:
        """Run `job` in a transaction and return its result once that is committed.

        `job` may run several times, so it must do nothing but SQL.
        """
        [result] = self.write_all([(run_jobs, job)])
        if isinstance(result, Exception):
            raise result
        return result  # type: ignore[no-any-return]

    def write_all(self, writes: Sequence[tuple[Operation[Any], Any]]) -> list[Any]:
        """Carry out several writes, in one transaction if possible; a result may be the exception of a failed write."""
        return self._writer.do_all(writes)

    def write_order(self, operation: Operation[T], item: T) -> Any:
        """Carry out a write whose success is reported to the shop. SQLite's files must be in place before and after it.

        Raises UnconfirmedWrite when they went away during the write.
        """
        [result] = self._writer.do_all([(operation, item)], is_order=True)
        if isinstance(result, Exception):
            raise result
        return result

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection for SELECTs."""
        try:
            with self._reading.connect() as connection:
                yield connection
        except DBAPIError as exc:
            counters.add(DATABASE_ERRORS, ("read",))
            raise OutboxUnavailable(str(exc.orig)) from exc

    def check_files(self) -> None:
        """Raise OutboxUnavailable when one of SQLite's files was deleted or replaced."""
        if self._files:
            self._files.check()

    def check_writable(self) -> None:
        """Commit a row that nobody sees, which fails like an order on a full, read-only or locked database."""
        if time.monotonic() > self._was_writable_at + WRITE_CHECK_INTERVAL:
            self.write(_add_and_delete_row)
            self._was_writable_at = time.monotonic()

    def empty_log(self) -> None:
        """Move what is in SQLite's write-ahead log into the database, so that deleted data leaves the log as well.

        Other processes that read at this moment prevent it; the next checkpoint then does it.
        """
        if not self._files:
            return
        with suppress(OutboxUnavailable), self.reading() as connection:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={CHECKPOINT_TIMEOUT * 1000}")
            try:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout={LOCK_TIMEOUT * 1000}")

    def save_lost_log(self) -> bool:
        """Copy a write-ahead log that was deleted into the database file. Returns True if it did so, the first time.

        The log exists for as long as this process has it open. A kill would lose the orders that only it holds.
        """
        if self._is_log_saved or self._files is None or not self._files.has_lost_log:
            return False
        connection = self._writing.raw_connection()
        try:
            connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").close()
        finally:
            connection.close()
        self._is_log_saved = True
        return True


def _add_and_delete_row(connection: Connection) -> None:
    # In this table, because no process ever locks it, and no two of its rows can conflict.
    row = insert(clock_jumps).values(noticed_at=0.0, trusted_from=0.0, seconds=0.0).returning(clock_jumps.c.id)
    added = connection.execute(row).scalar_one()
    connection.execute(delete(clock_jumps).where(clock_jumps.c.id == added)).close()
