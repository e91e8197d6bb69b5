"""Outboxes for tests, and helpers to read and change them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from orderconfirm.models import ClaimedMail, NewMail, OutboxEntry
from orderconfirm.outbox.admin import OutboxAdmin
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.engines import writing_engine
from orderconfirm.outbox.leases import NO_REPLY, AttemptResult, FinishedAttempt
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retry import Outcome
from orderconfirm.outbox.writer import Writer
from orderconfirm.queries import COMMON_ACCOUNT

HOLD_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=10, isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


def provide_file(path: Path) -> None:
    """Create an SQLite file with the outbox's tables if there is none. A first start's migrations cost far more."""
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.touch(mode=0o600)
        with _lock:  # Alembic cannot serve two threads
            content = _new_file()
        path.write_bytes(content)


_lock = threading.Lock()


@cache
def _new_file() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "outbox.db"
        database = Database(f"sqlite:///{path}")
        database.open()
        database.close()
        return path.read_bytes()


@contextmanager
def opened(url: str, max_pending: int = 1000, **options: float) -> Iterator[OutboxQueue]:
    """Open an outbox as a separate process would. An SQLite file that does not exist is created."""
    if url.startswith("sqlite"):
        provide_file(Path(url.removeprefix("sqlite:///")))
    database = Database(url, **options)
    database.open()
    database.process_locks.claim(lambda: None)
    try:
        yield OutboxQueue(database, max_pending)
    finally:
        database.process_locks.release()
        database.close()


@contextmanager
def writer_of_notes(url: str, timeout: float) -> Iterator[Writer]:
    """Start a writer on a table of notes, whose only column has different words."""
    engine = writing_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS notes")
        connection.exec_driver_sql("CREATE TABLE notes (word VARCHAR(40) UNIQUE)")
    writer = Writer(engine, timeout)
    writer.start()
    yield writer
    writer.stop()
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE notes")
    engine.dispose()


@contextmanager
def locked(url: str, table: str = "outbox") -> Iterator[int]:
    """Hold SQLite's write lock in another process, or a lock on PostgreSQL's table in another session.

    Yields the id of that process or session.
    """
    if url.startswith("sqlite"):
        command = [sys.executable, "-I", "-S", "-c", HOLD_LOCK, url.removeprefix("sqlite:///")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout and process.stdout.readline() == b"locked\n"
            yield process.pid  # the end of its input ends it
    else:
        with psycopg.connect(url) as session:
            session.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
            yield session.info.backend_pid


def find(queue: OutboxQueue, order_id: str) -> OutboxEntry:
    entry = OutboxAdmin(queue._database).find("shop", order_id)
    assert entry is not None
    return entry


def claim(queue: OutboxQueue, limit: int, lease_seconds: float) -> list[ClaimedMail]:
    exchange = queue.exchange([], {COMMON_ACCOUNT: limit}, lease_seconds)
    if exchange.failure:
        raise exchange.failure
    return exchange.claimed


def settle(queue: OutboxQueue, mail: ClaimedMail, outcome: Outcome, result: AttemptResult = NO_REPLY) -> bool:
    [is_settled] = queue.exchange([FinishedAttempt.of(mail, outcome, result)], {}, 0).settled
    if isinstance(is_settled, Exception):
        raise is_settled
    return is_settled


def reclaim(queue: OutboxQueue, tokens: Collection[str] = (), trusts_clock: bool = True, holds: bool = False) -> int:
    return len(queue.reclaim_abandoned(tokens, trusts_clock, holds))


def run(queue: OutboxQueue, sql: str) -> None:
    queue._database.write(lambda connection: connection.exec_driver_sql(sql).close())


def mail(order_id: str, fingerprint: str = "f") -> NewMail:
    request: dict[str, object] = {"order_id": order_id, "customer": {"email": "a@example.com"}}
    return NewMail("shop", order_id, f"<{order_id}@x>", "a@example.com", request, {}, fingerprint)
