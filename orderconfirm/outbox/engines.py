"""The outbox's SQLAlchemy engines: for writing, for reading, for migrations, and on PostgreSQL for process locks."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, NullPool, create_engine, event
from sqlalchemy.engine import URL, make_url

from orderconfirm.outbox import postgres_connection
from orderconfirm.outbox.sqlite_lock import TurnstileLock

#: Seconds that a connection waits for another process's write lock on SQLite.
LOCK_TIMEOUT = 10
#: The same for one try of a migration to begin.
SHORT_LOCK_TIMEOUT = 1
#: Seconds that a reader waits for a connection of the pool.
POOL_TIMEOUT = 10


def writing_engine(url: str, password_file: str = "") -> Engine:
    """Return an engine with one connection, whose transactions take the write lock with their first statement.

    A deferred SQLite transaction that reads before it writes fails with SQLITE_BUSY_SNAPSHOT if another process wrote
    in between. BEGIN IMMEDIATE waits for the lock instead.
    """
    engine = _engine(_driver_url(url), password_file, pool_size=1, max_overflow=0)
    if engine.dialect.name == "sqlite":
        _take_write_lock_at_begin(engine, LOCK_TIMEOUT)
    return engine


def reading_engine(url: str, password_file: str = "") -> Engine:
    """Return an engine for single SELECTs of many threads. They never wait for the writer."""
    address = _without_creation(_driver_url(url))
    engine = _engine(address, password_file, pool_size=8, max_overflow=24, pool_timeout=POOL_TIMEOUT)
    return engine if engine.dialect.name == "sqlite" else engine.execution_options(isolation_level="AUTOCOMMIT")


def session_engine(url: str, password_file: str = "") -> Engine:
    """Return an engine for a PostgreSQL connection that its user keeps open."""
    return _engine(_driver_url(url), password_file, poolclass=NullPool, isolation_level="AUTOCOMMIT")


def migrating_engine(url: str, password_file: str = "") -> Engine:
    """Return an engine for migrations. Its transactions take SQLite's write lock at once, or fail soon.

    Statements may take as long as they need. SQLite does not check references, because a table whose columns change is
    replaced by a copy.
    """
    engine = _engine(_driver_url(url), password_file, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys=OFF"))
        _take_write_lock_at_begin(engine, SHORT_LOCK_TIMEOUT)
    else:
        event.listen(engine, "connect", postgres_connection.remove_time_limits)
    return engine


def _driver_url(url: str) -> URL:
    """Return the URL with psycopg 3 as the driver for `postgres://` and `postgresql://`."""
    parsed = make_url(url)
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername in ("postgres", "postgresql") else parsed


def _without_creation(url: URL) -> URL:
    """Return the URL with a mode in which SQLite fails for a missing file instead of creating an empty one."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return url
    return url.set(database=f"file:{quote(url.database)}", query={"mode": "rw", "uri": "true"})


def _engine(url: URL, password_file: str, **options: Any) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": LOCK_TIMEOUT}, hide_parameters=True, **options)
        event.listen(engine, "connect", _tune_sqlite)
        return engine
    arguments = postgres_connection.CONNECT_ARGUMENTS
    engine = create_engine(url, connect_args=arguments, pool_pre_ping=True, hide_parameters=True, **options)
    event.listen(engine, "connect", postgres_connection.require_utf8, insert=True)
    event.listen(engine, "connect", postgres_connection.tune)
    if password_file:
        event.listen(engine, "do_connect", postgres_connection.password_from(password_file))
    return engine


def _take_write_lock_at_begin(engine: Engine, timeout: float) -> None:
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=0"))
    event.listen(engine, "begin", TurnstileLock(Path(str(engine.url.database)).resolve(), timeout).begin)


def _tune_sqlite(connection: Any, record: Any) -> None:
    # The driver must not begin transactions itself: see writing_engine.
    connection.isolation_level = None
    # Invalid UTF-8 must not raise: one damaged row would stop every claim that reads it.
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    connection.execute("PRAGMA journal_mode=WAL")
    # A 202 means that the order is on disk, so every commit must be flushed.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    # Erased data is overwritten at once, not when its space is used again.
    connection.execute("PRAGMA secure_delete=ON")
