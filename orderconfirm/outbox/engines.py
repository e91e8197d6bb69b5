"""The outbox's two SQLAlchemy engines: one connection for writing, a pool for reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, event, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.schema import CreateIndex, CreateTable

from orderconfirm.outbox.sqlite_lock import TurnstileLock
from orderconfirm.outbox.tables import metadata

#: Seconds that a connection waits for another process's write lock (SQLite) or for the server (PostgreSQL).
LOCK_TIMEOUT = 10


def writing_engine(url: str) -> Engine:
    """Return an engine with one connection, whose transactions take the write lock with their first statement.

    A deferred SQLite transaction that reads before it writes fails with SQLITE_BUSY_SNAPSHOT if another process wrote
    in between. BEGIN IMMEDIATE waits for the lock instead.
    """
    engine = create_engine(_driver_url(url), pool_size=1, max_overflow=0, **_options(url))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _tune_sqlite)
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=0"))
        event.listen(engine, "begin", TurnstileLock(Path(str(engine.url.database)).resolve(), LOCK_TIMEOUT).begin)
    return engine


def reading_engine(url: str) -> Engine:
    """Return an engine for single SELECTs of many threads. They never wait for the writer."""
    engine = create_engine(
        _without_creation(_driver_url(url)), pool_size=8, max_overflow=24, pool_timeout=LOCK_TIMEOUT, **_options(url)
    )
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _tune_sqlite)
        return engine
    return engine.execution_options(isolation_level="AUTOCOMMIT")


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


def _options(url: str) -> dict[str, Any]:
    if _driver_url(url).get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": LOCK_TIMEOUT}}
    # TCP detects a server that disappeared; the server itself ends statements that take too long.
    limits = {
        "connect_timeout": LOCK_TIMEOUT,
        "keepalives_idle": LOCK_TIMEOUT,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": LOCK_TIMEOUT * 1000,
        "options": f"-c statement_timeout={LOCK_TIMEOUT}s -c idle_in_transaction_session_timeout={LOCK_TIMEOUT}s",
    }
    return {"connect_args": limits, "pool_pre_ping": True}


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
