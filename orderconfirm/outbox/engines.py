"""The two engines that reach the outbox: one connection that writes, a pool that reads."""

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
    """An engine with one connection whose transactions hold the write lock from their first statement.

    A deferred SQLite transaction that reads before it writes fails at once with SQLITE_BUSY_SNAPSHOT when another
    process wrote in between; BEGIN IMMEDIATE waits its turn instead.
    """
    engine = create_engine(_driver_url(url), pool_size=1, max_overflow=0, **_options(url))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _tune_sqlite)
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=0"))
        event.listen(engine, "begin", TurnstileLock(Path(str(engine.url.database)).resolve(), LOCK_TIMEOUT).begin)
    return engine


def reading_engine(url: str) -> Engine:
    """An engine for single SELECTs from many threads, which never wait for the writer."""
    engine = create_engine(
        _existing(_driver_url(url)), pool_size=8, max_overflow=24, pool_timeout=LOCK_TIMEOUT, **_options(url)
    )
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _tune_sqlite)
        return engine
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def create_tables(engine: Engine) -> None:
    """Create what is missing; several processes may do so at once."""
    if engine.dialect.name == "sqlite" and engine.url.database:
        file = Path(engine.url.database)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)  # it holds names and addresses; its companions get its mode
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # IF NOT EXISTS alone still races in PostgreSQL's catalogue.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(20250315)")
        for table in metadata.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))


def missing_columns(engine: Engine) -> list[str]:
    """Columns that another version's tables lack, as table.column."""
    known = inspect(engine)
    return [
        f"{table.name}.{name}"
        for table in metadata.sorted_tables
        for name in {*table.columns.keys()} - {column["name"] for column in known.get_columns(table.name)}
    ]


def _driver_url(url: str) -> URL:
    """`postgres://` and `postgresql://` both mean psycopg 3."""
    parsed = make_url(url)
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername in ("postgres", "postgresql") else parsed


def _existing(url: URL) -> URL:
    """An SQLite file that is away must be an error, not an empty file made in its place."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return url
    return url.set(database=f"file:{quote(url.database)}", query={"mode": "rw", "uri": "true"})


def _options(url: str) -> dict[str, Any]:
    if _driver_url(url).get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": LOCK_TIMEOUT}}
    # A server that vanished without a word is noticed by the socket; one that is stuck, by the server itself.
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
    # The driver must not open transactions on its own: see writing_engine.
    connection.isolation_level = None
    # A damaged row must be readable enough to be set aside, or it would stop every claim that meets it.
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    connection.execute("PRAGMA journal_mode=WAL")
    # The 202 is a promise: a commit must be on the disk, not in its cache.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    # What is erased must not stay in the file until something else is written over it.
    connection.execute("PRAGMA secure_delete=ON")
