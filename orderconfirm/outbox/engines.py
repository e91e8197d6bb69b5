"""The outbox's SQLAlchemy engines: one connection for writing, a pool for reading, and on PostgreSQL one for locks."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, NullPool, create_engine, event, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.schema import CreateIndex, CreateTable

from orderconfirm.outbox import postgres_connection
from orderconfirm.outbox.sqlite_lock import TurnstileLock
from orderconfirm.outbox.tables import metadata

#: Seconds that a connection waits for another process's write lock on SQLite.
LOCK_TIMEOUT = 10
#: Seconds that a reader waits for a connection of the pool.
POOL_TIMEOUT = 10


def writing_engine(url: str, password_file: str = "") -> Engine:
    """Return an engine with one connection, whose transactions take the write lock with their first statement.

    A deferred SQLite transaction that reads before it writes fails with SQLITE_BUSY_SNAPSHOT if another process wrote
    in between. BEGIN IMMEDIATE waits for the lock instead.
    """
    engine = _engine(_driver_url(url), password_file, pool_size=1, max_overflow=0)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=0"))
        event.listen(engine, "begin", TurnstileLock(Path(str(engine.url.database)).resolve(), LOCK_TIMEOUT).begin)
    return engine


def reading_engine(url: str, password_file: str = "") -> Engine:
    """Return an engine for single SELECTs of many threads. They never wait for the writer."""
    address = _without_creation(_driver_url(url))
    engine = _engine(address, password_file, pool_size=8, max_overflow=24, pool_timeout=POOL_TIMEOUT)
    return engine if engine.dialect.name == "sqlite" else engine.execution_options(isolation_level="AUTOCOMMIT")


def session_engine(url: str, password_file: str = "") -> Engine:
    """Return an engine for a PostgreSQL connection that its user keeps open."""
    return _engine(_driver_url(url), password_file, poolclass=NullPool, isolation_level="AUTOCOMMIT")


def create_tables(engine: Engine) -> None:
    """Create missing tables and indexes. Several processes may do so at once."""
    if engine.dialect.name == "sqlite" and engine.url.database:
        file = Path(engine.url.database)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)  # it contains personal data; SQLite gives the log files the same mode
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # IF NOT EXISTS alone is not safe against concurrent CREATEs in PostgreSQL.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(20250315)")
        for table in metadata.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))


def missing_columns(engine: Engine) -> list[str]:
    """Return the columns that are missing from existing tables, as table.column."""
    inspector = inspect(engine)
    return [
        f"{table.name}.{name}"
        for table in metadata.sorted_tables
        for name in {*table.columns.keys()} - {column["name"] for column in inspector.get_columns(table.name)}
    ]


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
        engine = create_engine(url, connect_args={"timeout": LOCK_TIMEOUT}, **options)
        event.listen(engine, "connect", _tune_sqlite)
        return engine
    engine = create_engine(url, connect_args=postgres_connection.CONNECT_ARGUMENTS, pool_pre_ping=True, **options)
    event.listen(engine, "connect", postgres_connection.tune)
    if password_file:
        event.listen(engine, "do_connect", postgres_connection.password_from(password_file))
    return engine


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
