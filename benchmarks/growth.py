"""What growth costs: the queue's operations on a full and on an empty outbox, and what an order writes and keeps.

The full outbox has a million finished mails of two years, written past the service, and 100,000 waiting ones, accepted
by it. Operations take turns on both, so that other work on the machine disturbs both alike.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from benchmarks import databases
from benchmarks.databases import new_mail
from benchmarks.http_load import percentile
from benchmarks.machine import OtherLoad, describe
from benchmarks.orders import make_body, order_ids
from benchmarks.outbox import DAY, fill
from benchmarks.postgres import installed_programs, postgres_server
from benchmarks.report import table
from orderconfirm.models import ClaimedMail, Delivery, RelayEvent
from orderconfirm.outbox.additions import Addition, Additions
from orderconfirm.outbox.capacity import Capacity
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.delivery_events import DeliveryEventStore
from orderconfirm.outbox.leases import AttemptResult, FinishedAttempt
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retention import MAX_BATCH, Retention
from orderconfirm.outbox.retry import SENT
from orderconfirm.queries import COMMON_ACCOUNT

#: Mails in one transaction.
GROUP = 50
REPLY = AttemptResult("end_of_data", 250, "2.0.0 Ok: queued as 4XyZ1k2m3nz9rV", 0.187)
EVENT = RelayEvent("", "delivery", datetime.now(UTC), 250, None, Delivery.DELIVERED, "shop", "", None, None, None, "")
#: The length of an event of Mailtrap, which is stored as it came.
EVENT_LENGTH = 550
TABLES = ("outbox", "history", "delivery_events")
#: How often PostgreSQL's space is made free again while the orders are written whose size is measured.
VACUUMS = 20


class Outbox:
    """An open outbox, and what a service does with it."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.database.open()
        self._additions = Additions(self.database, Capacity(databases.MAX_PENDING))
        self._queue = OutboxQueue(self.database, databases.MAX_PENDING)
        self._events = DeliveryEventStore(self.database)
        self._claimed: list[ClaimedMail] = []

    def insert(self, names: Sequence[str]) -> None:
        additions = [Addition.of(new_mail(make_body(name))) for name in names]
        results = self.database.write_all([(self._additions.add_all, each) for each in additions])
        assert all(each.is_new for each in results)

    def claim(self, names: Sequence[str]) -> None:
        self._claimed = self._queue.exchange([], {COMMON_ACCOUNT: len(names)}, 600.0).claimed
        assert len(self._claimed) == len(names)

    def settle(self, names: Sequence[str]) -> None:
        finished = [FinishedAttempt.of(mail, SENT, REPLY) for mail in self._claimed]
        assert all(each is True for each in self._queue.exchange(finished, {}, 0.0).settled)

    def report(self, names: Sequence[str]) -> None:
        """Store the relay's events that these mails were delivered."""
        raw = "x" * EVENT_LENGTH
        ids = {name: f"{name}-0000-1111-2222-333344445555" for name in names}
        events = [replace(EVENT, event_id=ids[name], order_id=name, raw=raw) for name in names]
        assert self._events.record(events) == len(names)

    def purge(self, age: float) -> int:
        return Retention(self.database).purge(age)


OPERATIONS = (Outbox.insert, Outbox.claim, Outbox.settle)
#: The milliseconds of each operation on each outbox.
Times = dict[str, dict[str, list[float]]]


def milliseconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e3


def measure(outboxes: dict[str, Outbox], rounds: int) -> Times:
    """Measure the operations on one outbox after the other, `rounds` times."""
    times: Times = {each.__name__: {name: [] for name in outboxes} for each in OPERATIONS}
    for number in range(rounds):
        for name, outbox in outboxes.items():
            names = order_ids(f"{name}-{number}", GROUP)
            for operation in OPERATIONS:
                times[operation.__name__][name].append(milliseconds(lambda: operation(outbox, names)))  # noqa: B023
    return times


def time_table(times: Times) -> str:
    head = ["milliseconds"]
    head += [f"{name}: {what}" for name in next(iter(times.values())) for what in ("least", "p50", "p95")]
    rows = [
        [
            f"{operation} {GROUP}",
            *(f"{percentile(each, share):.1f}" for each in of.values() for share in (0, 0.5, 0.95)),
        ]
        for operation, of in times.items()
    ]
    return table(head, rows)


def go_all_the_way(outbox: Outbox, prefix: str, orders: int, group: int) -> None:
    """Insert, claim and settle orders, and store that they were delivered, `group` of them in a transaction."""
    for number in range(orders // group):
        names = order_ids(f"{prefix}-{number}", group)
        for step in (*OPERATIONS, Outbox.report):
            step(outbox, names)


def written(url: str) -> int:
    """Return how many bytes were written so far: by this process, or into PostgreSQL's write-ahead log."""
    if url.startswith("sqlite"):
        fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        return int(fields["write_bytes"])
    with psycopg.connect(url) as session:
        row = session.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')").fetchone()
    return int(row[0]) if row else 0


def checkpoint(url: str) -> None:
    """Have the next change of each page write the whole page, as PostgreSQL does every five minutes."""
    if not url.startswith("sqlite"):
        with psycopg.connect(url, autocommit=True) as session:
            session.execute("CHECKPOINT")


def sizes(url: str, rewrites: bool = False) -> dict[str, int]:
    """Return the bytes of each table with its indexes, after a vacuum, which gives the space back if it `rewrites`."""
    if url.startswith("sqlite"):
        file = sqlite3.connect(url.removeprefix("sqlite:///"))
        if rewrites:
            file.execute("VACUUM")
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        statement = "SELECT sum(pgsize) FROM dbstat WHERE name IN (SELECT name FROM sqlite_schema WHERE tbl_name = ?)"
        found = {name: int(file.execute(statement, (name,)).fetchone()[0]) for name in TABLES}
        file.close()
        return found
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("VACUUM FULL" if rewrites else "VACUUM")
        rows = [session.execute("SELECT pg_total_relation_size(%s)", (name,)).fetchone() for name in TABLES]
    return {name: int(row[0]) for name, row in zip(TABLES, rows, strict=True) if row}


def size_table(url: str, orders: int) -> str:
    """Write orders into an empty outbox and delete their content. Returns what each keeps before and after."""
    with opened(url) as outbox:
        for number in range(VACUUMS):
            go_all_the_way(outbox, f"kept-{number}", orders // VACUUMS, GROUP)
            full = sizes(url)
        while outbox.purge(-1):
            pass
        left = sizes(url, rewrites=True)
    columns = [{**each, "together": sum(each.values())} for each in (full, left)]
    rows = [[name, *(f"{each[name] / orders:,.0f}" for each in columns)] for name in columns[0]]
    return table(["bytes an order", "with its content", "without"], rows)


def write_table(url: str, outbox: Outbox, orders: int) -> str:
    """Return what orders write, from their insertion to the report of their delivery, and when they are purged."""
    rows = []
    for group in (1, GROUP):
        checkpoint(url)
        before = written(url)
        go_all_the_way(outbox, f"written-{group}", orders, group)
        kind = "one in a transaction" if group == 1 else f"{group} in a transaction"
        rows.append([kind, f"{(written(url) - before) / orders:,.0f}"])
    checkpoint(url)
    before = written(url)
    purged = sum(outbox.purge(365 * DAY) for _ in range(10))
    if purged:  # a small run has purged everything before
        deletion = (written(url) - before) / purged
        rows.append([f"deletion of the content, {MAX_BATCH} in a transaction", f"{deletion:,.0f}"])
    return table(["bytes written for an order", ""], rows)


@contextmanager
def opened(url: str) -> Iterator[Outbox]:
    outbox = Outbox(url)
    try:
        yield outbox
    finally:
        outbox.database.close()


def bench(urls: dict[str, str], finished: int, waiting: int, rounds: int) -> None:
    """Print all figures of one engine. `urls` are those of three new databases."""
    fill(urls["full"], finished)
    databases.fill(urls["full"], [make_body(name) for name in order_ids("waits", waiting)])
    with ExitStack() as stack:
        outboxes = {name: stack.enter_context(opened(urls[name])) for name in ("empty", "full")}
        print(time_table(measure(outboxes, rounds)), flush=True)
        full = outboxes["full"]
        times = [milliseconds(lambda: full.purge(365 * DAY)) for _ in range(max(3, rounds // 10))]
        figures = " / ".join(f"{percentile(times, share):.0f}" for share in (0, 0.5, 0.95))
        print(f"\nDeleting the content of {MAX_BATCH} orders: {figures} ms (least / p50 / p95).\n", flush=True)
        print(write_table(urls["full"], full, 20 * rounds), flush=True)
    print(f"\n{size_table(urls['sized'], 100 * rounds)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("databases", nargs="*", default=["sqlite", "postgresql"], help="sqlite, postgresql")
    parser.add_argument("--finished", type=int, default=1_000_000, help="mails that are sent; default: a million")
    parser.add_argument("--waiting", type=int, default=100_000, help="mails that are due; default: 100,000")
    parser.add_argument("--rounds", type=int, default=200)
    wanted = parser.parse_args()
    if wanted.rounds < 10:
        parser.error("fewer than 10 rounds write too little to be measured")
    for name in wanted.databases:
        load = OtherLoad()
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            urls = {each: f"sqlite:///{folder}/{each}.db" for each in ("empty", "full", "sized")}
            version = f"SQLite {sqlite3.sqlite_version}"
            if name == "postgresql":
                programs = installed_programs()[0]
                server = stack.enter_context(postgres_server(programs))
                urls = {each: _new_database(server, each) for each in urls}
                version = f"PostgreSQL {programs.version}"
            print(f"\n## {version}\n\n{describe(folder)}\n", flush=True)
            bench(urls, wanted.finished, wanted.waiting, wanted.rounds)
        print(f"\n{load.describe()}", flush=True)


def _new_database(server: str, name: str) -> str:
    with psycopg.connect(server, autocommit=True) as session:
        session.execute(f'CREATE DATABASE "{name}"')
    return make_url(server).set(database=name).render_as_string(hide_password=False)


if __name__ == "__main__":
    main()
