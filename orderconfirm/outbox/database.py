"""One database, open or closed: its engines, its writing thread, and what tells its processes apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from orderconfirm.errors import OutboxUnavailable, UnconfirmedWrite
from orderconfirm.outbox.engines import LOCK_TIMEOUT, create_tables, missing_columns, reading_engine, writing_engine
from orderconfirm.outbox.process_locks import ProcessLocks
from orderconfirm.outbox.writer import WRITE_TIMEOUT, Writer

T = TypeVar("T")

#: Seconds that an erasure waits for other processes to let go of the write-ahead log.
SCRUB_TIMEOUT = 1


class Database:
    """Where the outbox lies. Every method raises OutboxUnavailable when the database does not do its part."""

    def __init__(self, url: str, write_timeout: float = WRITE_TIMEOUT) -> None:
        """Opens nothing yet. `url` is a DATABASE_URL; a caller waits up to `write_timeout` seconds for its write."""
        self._writing = writing_engine(url)
        self._reading = reading_engine(url)
        self._writer = Writer(self._writing, write_timeout)
        self.dialect = self._writing.dialect.name
        name = self._writing.url.database
        self._file = Path(name) if self.dialect == "sqlite" and name else None
        #: Of SQLite's file and its companions, as they were opened.
        self._inodes: dict[Path, int | None] = {}
        self._is_log_rescued = False
        self.process_locks = ProcessLocks(_lock_folder(self._file) if self._file else None)

    def open(self) -> None:
        """Create missing tables and start to take writes. Call it after the fork."""
        try:
            create_tables(self._writing)
            missing = missing_columns(self._writing)
            self.process_locks.claim()
            self._inodes = {path: _inode(path) for path in _files(self._file)} if self._file else {}
        except (DBAPIError, OSError) as failure:
            self.close()
            reason = getattr(failure, "orig", failure)
            where = f"{self.dialect} {self._writing.url.database}"
            raise OutboxUnavailable(f"the database of DATABASE_URL ({where}) cannot be opened: {reason}") from failure
        if missing:
            self.close()
            raise OutboxUnavailable(f"the database of DATABASE_URL was made by another version: no {missing}")
        self._writer.start()

    def close(self) -> None:
        self._writer.stop()
        self.process_locks.release()
        self._reading.dispose()
        self._writing.dispose()

    def write(self, job: Callable[[Connection], T]) -> T:
        """Run `job` in a transaction of its own and return its result once that is committed.

        `job` may run several times, so it must do nothing but SQL.
        """
        return self._writer.do(job)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for SELECTs, for one `with` block."""
        try:
            with self._reading.connect() as connection:
                yield connection
        except DBAPIError as failure:
            raise OutboxUnavailable(str(failure.orig)) from failure

    def scrub(self) -> None:
        """What was deleted leaves SQLite's write-ahead log as well; later, if others keep the database busy."""
        if self.dialect != "sqlite":
            return
        with suppress(OutboxUnavailable), self.reading() as connection:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={SCRUB_TIMEOUT * 1000}")
            try:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout={LOCK_TIMEOUT * 1000}")

    def write_to_stay(self, job: Callable[[Connection], T]) -> T:
        """Write as `write` does what must outlive this process: an order that the shop is told is accepted.

        SQLite goes on writing into a file that was deleted under it, and what goes there is lost with the process.
        Raises OutboxUnavailable when the file is gone before, UnconfirmedWrite when it went meanwhile.
        """
        self.expect_files()
        result = self.write(job)
        try:
            self.expect_files()
        except OutboxUnavailable as exc:
            raise UnconfirmedWrite(str(exc)) from exc
        return result

    def expect_files(self) -> None:
        """Raise OutboxUnavailable when SQLite's file or one of its companions was deleted or replaced."""
        for path, inode in self._inodes.items():
            if _inode(path) != inode:
                raise OutboxUnavailable(f"{path} was deleted or replaced: put it back, or restart the service")

    def rescue_log(self) -> bool:
        """Copy SQLite's write-ahead log into the database file if the log was deleted. True when it did so, once.

        The log lives on for as long as this process has it open; a kill would lose the orders that only it holds.
        """
        changed = [path for path, inode in self._inodes.items() if _inode(path) != inode]
        if self._is_log_rescued or not changed or self._file in changed:
            return False
        connection = self._writing.raw_connection()
        try:
            connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").close()
        finally:
            connection.close()
        self._is_log_rescued = True
        return True


def _files(database: Path) -> list[Path]:
    """SQLite's file, its write-ahead log, and the index that all its processes share."""
    return [database.with_name(f"{database.name}{suffix}") for suffix in ("", "-wal", "-shm")]


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _lock_folder(file: Path) -> Path:
    """Beside the file itself, by whatever link a process reaches it."""
    real = file.resolve()
    return real.with_name(f"{real.name}.alive")
