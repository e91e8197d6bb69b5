"""One database, open or closed: its engines, its writing thread, and what tells its processes apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from orderconfirm.errors import OutboxUnavailable
from orderconfirm.outbox.liveness import Liveness
from orderconfirm.outbox.tables import LOCK_TIMEOUT, create_tables, missing_columns, reading_engine, writing_engine
from orderconfirm.outbox.writer import Writer

T = TypeVar("T")

#: Seconds that an erasure waits for other processes to let go of the write-ahead log.
SCRUB_PATIENCE = 1


class Database:
    """Where the outbox lies. Every method raises OutboxUnavailable when the database does not do its part."""

    def __init__(self, url: str) -> None:
        """Opens nothing yet. `url` is a DATABASE_URL."""
        self._writing = writing_engine(url)
        self._reading = reading_engine(url)
        self._writer = Writer(self._writing)
        self.dialect = self._writing.dialect.name
        name = self._writing.url.database
        self._file = Path(name) if self.dialect == "sqlite" and name else None
        self._inode: int | None = None
        self.liveness = Liveness(_lock_folder(self._file) if self._file else None)

    def open(self) -> None:
        """Create missing tables and start to take writes. Call it after the fork."""
        try:
            create_tables(self._writing)
            missing = missing_columns(self._writing)
            self.liveness.claim()
            self._inode = self._file.stat().st_ino if self._file else None
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
        self.liveness.release()
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
            connection.exec_driver_sql(f"PRAGMA busy_timeout={SCRUB_PATIENCE * 1000}")
            try:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout={LOCK_TIMEOUT * 1000}")

    def expect_file(self) -> None:
        """SQLite writes on into a file that was deleted under it: what goes there is lost at the next start."""
        if self._file is None:
            return
        try:
            is_there = self._file.stat().st_ino == self._inode
        except OSError:
            is_there = False
        if not is_there:
            raise OutboxUnavailable(f"{self._file} was deleted or replaced: put it back, or restart the service")


def _lock_folder(file: Path) -> Path:
    """Beside the file itself, by whatever link a process reaches it."""
    real = file.resolve()
    return real.with_name(f"{real.name}.alive")
