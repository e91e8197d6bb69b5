"""No statement reads all mails to find a few.

SQLite's plans do not depend on the content of the tables, so they are looked at. PostgreSQL's do, so the rows are
counted that each operation reads from a full outbox.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
import pytest
from outboxes import claim, mail, opened, reclaim
from processes import wait_until
from sqlalchemy import event

from benchmarks.databases import emptied
from orderconfirm.models import Delivery, RelayEvent, Resend, State
from orderconfirm.outbox.admin import OutboxAdmin
from orderconfirm.outbox.clock import ClockWatch
from orderconfirm.outbox.delivery_events import DeliveryEventStore
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retention import MAX_BATCH, Retention
from orderconfirm.outbox.search import OutboxSearch
from orderconfirm.outbox.stats import read_sent_per_minute, read_stats
from orderconfirm.queries import COMMON_ACCOUNT, Search

MOMENT = datetime(2025, 3, 15, tzinfo=UTC)
CURSOR = "1742000000.5_77"
#: Plan lines that read the table: `SEARCH` uses an index, `SCAN` reads from the beginning.
READS = re.compile(r"(?:SEARCH|SCAN) outbox\b.*")
#: The indexes of due and of leased mails are small enough for a scan.
SMALL = re.compile(r"SCAN outbox USING INDEX outbox_(due|leased)")


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[OutboxQueue]:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue:
        yield queue


@contextmanager
def plans(queue: OutboxQueue) -> Iterator[list[str]]:
    """Yield a list that has the plan lines of the executed statements once the block has ended."""
    executed: list[str] = []
    lines: list[str] = []

    def record(connection: Any, _: Any, __: Any) -> None:
        connection.set_trace_callback(executed.append)

    def stop(connection: Any, _: Any) -> None:
        connection.set_trace_callback(None)

    engines = (queue._database._reading, queue._database._writing)
    for engine in engines:
        event.listen(engine, "checkout", record)
        event.listen(engine, "checkin", stop)
    yield lines
    for engine in engines:
        event.remove(engine, "checkout", record)
        event.remove(engine, "checkin", stop)
    file = sqlite3.connect(queue._database._files.database if queue._database._files else "")
    for statement in executed:
        if statement.startswith(("SELECT", "UPDATE", "WITH")):
            lines += [row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {statement}")]
    file.close()


@pytest.mark.parametrize(
    ("filters", "index", "lists"),
    [
        ({}, "newest (shop=?", 1),
        ({"states": (State.HELD,)}, "state (shop=? AND state=?", 1),
        ({"states": (State.HELD, State.SENT)}, "state (shop=? AND state=?", 2),
        ({"states": tuple(State)}, "state (shop=? AND state=?", len(State)),
        ({"deliveries": (Delivery.BOUNCED,)}, "delivery (shop=? AND delivery=? AND state=?", len(State)),
        (
            {"deliveries": (Delivery.BOUNCED, Delivery.DELIVERED), "states": (State.SENT,)},
            "delivery (shop=? AND delivery=? AND state=?",
            2,
        ),
        ({"recipient": "a@example.com"}, "recipient (shop=? AND recipient=?", 1),
        ({"recipient": "a@example.com", "states": (State.SENT,)}, "recipient (shop=? AND recipient=?", 1),
        ({"recipient": "a@example.com", "states": (State.SENT, State.HELD)}, "recipient (shop=? AND recipient=?", 1),
        ({"recipient": "a@example.com", "deliveries": (Delivery.BOUNCED,)}, "recipient (shop=? AND recipient=?", 1),
        ({"recipient": "a@example.com", "has_possible_copies": True}, "recipient (shop=? AND recipient=?", 1),
    ],
)
def test_each_list_is_read_from_an_index_in_order(
    queue: OutboxQueue, filters: dict[str, Any], index: str, lists: int
) -> None:
    for since, until, cursor in product((None, MOMENT), (None, MOMENT), (None, CURSOR)):
        search = Search(**filters, since=since, until=until)
        with plans(queue) as lines:
            OutboxSearch(queue._database).page("shop", search, cursor, 50)
        reads = reads_of_lists(lines)
        assert len(reads) == lists
        for line in reads:
            assert line.startswith(f"SEARCH outbox USING INDEX outbox_{index}")
            assert ("accepted_at" in line) == bool(since or until or cursor)
        assert not [line for line in lines if "TEMP B-TREE" in line]


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({"order_id": "1"}, "sqlite_autoindex_outbox_1 (shop=? AND order_id=?"),
        ({"order_id": "1", "has_possible_copies": True}, "sqlite_autoindex_outbox_1 (shop=? AND order_id=?"),
        ({"has_possible_copies": True}, "outbox_copies (possible_copies>?"),
    ],
)
def test_a_list_of_few_mails_is_found_in_an_index(queue: OutboxQueue, filters: dict[str, Any], index: str) -> None:
    more = {"states": (State.SENT,), "deliveries": (Delivery.BOUNCED,), "since": MOMENT, "until": MOMENT}
    for search in Search(**filters), Search(**filters, **more):
        with plans(queue) as lines:
            OutboxSearch(queue._database).page("shop", search, CURSOR, 50)
        [line] = [
            line for line in lines if re.match(r"(SEARCH|SCAN) (outbox|same)\b", line) and "PRIMARY KEY" not in line
        ]
        assert line.partition(" INDEX ")[2].startswith(index)


def test_lists_of_all_shops_are_those_of_each(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    queue.add(replace(mail("1"), shop="other"))
    with plans(queue) as lines:
        OutboxSearch(queue._database).page(None, Search(states=(State.HELD,)), CURSOR, 50)
    assert sum("outbox_state (shop=? AND state=?" in line for line in lines) == 2


def test_shops_are_found_without_reading_their_mails(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    with plans(queue) as lines:
        assert OutboxSearch(queue._database).shops() == OutboxSearch(queue._database).shops("1") == ["shop"]
    reads = [line for line in lines if READS.match(line)]
    assert not [line for line in reads if "INDEX" not in line]
    assert [line for line in reads if line.startswith("SEARCH") and "(shop=? AND order_id=?)" in line]


def reads_of_lists(lines: list[str]) -> list[str]:
    """Return the plan lines that read mails, without those that read single ones by id, and without shops."""
    return [line for line in lines if READS.match(line) and "PRIMARY KEY" not in line and "COVERING" not in line]


SEARCHES = {
    "for all": Search(),
    "by state": Search(states=(State.FAILED, State.HELD)),
    "by delivery": Search(deliveries=(Delivery.BOUNCED, Delivery.COMPLAINED)),
    "by order": Search(order_id="1", states=(State.SENT,)),
    "by address": Search(recipient="a@example.com", states=(State.SENT,), since=MOMENT),
    "by copies": Search(has_possible_copies=True, states=(State.SENT,)),
}
OPERATIONS: dict[str, Callable[[OutboxQueue, OutboxAdmin], Any]] = {
    "add": lambda queue, admin: queue.add(mail("1")),
    "resend": lambda queue, admin: admin.resend(Resend("shop", "1"), str),
    "claim": lambda queue, admin: claim(queue, 1, 60),
    "seconds_to_next": lambda queue, admin: queue.seconds_to_next([COMMON_ACCOUNT]),
    "reclaim": lambda queue, admin: reclaim(queue),
    "check the clock": lambda queue, admin: ClockWatch(queue._database, 60).check(0.0),
    "find": lambda queue, admin: admin.find("shop", "1"),
    "cancel": lambda queue, admin: admin.cancel("shop", "1"),
    "requeue": lambda queue, admin: admin.requeue("shop", "1"),
    "requeue_batch": lambda queue, admin: admin.requeue_batch(["shop"], [State.FAILED])[0],
    "erase": lambda queue, admin: Retention(queue._database).erase("shop", "1"),
    "purge": lambda queue, admin: Retention(queue._database).purge(60),
    "read_stats": lambda queue, admin: read_stats(queue._database),
    "read_stats of a shop": lambda queue, admin: read_stats(queue._database, "shop"),
    "read_sent_per_minute": lambda queue, admin: read_sent_per_minute(queue._database, max_counted=100),
    "shops": lambda queue, admin: OutboxSearch(queue._database).shops("1"),
    **{
        f"search {name}": lambda queue, admin, search=search: OutboxSearch(queue._database).page(None, search, None, 10)
        for name, search in SEARCHES.items()
    },
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_everyday_operations_find_their_mails_in_an_index(
    queue: OutboxQueue, operation: Callable[[OutboxQueue, OutboxAdmin], Any]
) -> None:
    with plans(queue) as lines:
        operation(queue, OutboxAdmin(queue._database))
    reads = [line for line in lines if READS.match(line)]
    assert reads
    assert [line for line in reads if line.startswith("SCAN") and not SMALL.match(line)] == []


#: Mails of a full outbox, and rows that an operation may read to find a few of them.
MAILS = 20_000
MAX_READ = 300
#: Most mails are sent. The newest ones, `waiting` in number, become due one after the other, `ahead` seconds from now.
FILL = """
INSERT INTO outbox (shop, order_id, fingerprint, message_id, recipient, address_hash, payload, accepted_at, state,
    changed_at, due_at)
SELECT 'shop', 'R-' || n, 'f', '<' || n || '@x>', 'c' || n || '@example.com', 'h' || n, '{{}}', now - {mails} + n,
    CASE WHEN n > {mails} - {waiting} THEN 'queued' ELSE 'sent' END, now, now + {ahead} - {mails} + n
FROM generate_series(1, {mails}) AS n, (SELECT extract(epoch FROM clock_timestamp()) AS now) AS clock;
INSERT INTO history (mail_id, at, event, state) SELECT id, accepted_at, 'sent', 'sent' FROM outbox;
INSERT INTO delivery_events (event_id, mail_id, received_at, at, event)
    SELECT id, id, accepted_at, accepted_at, 'delivery' FROM outbox;
UPDATE outbox SET state = 'failed' WHERE order_id = '1';
UPDATE outbox SET delivery = 'delivered' WHERE state = 'sent';
UPDATE outbox SET delivery = 'bounced' WHERE id % 1000 = 0 AND state = 'sent';
ANALYZE
"""
ROWS_READ = """
SELECT sum(seq_tup_read + COALESCE((SELECT sum(idx_tup_read) FROM pg_stat_user_indexes i WHERE i.relid = t.relid), 0))
FROM pg_stat_user_tables t
"""
OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.mark.parametrize(
    ("waiting", "ahead", "names"),
    [(100, 0, tuple(OPERATIONS)), (MAILS // 2, 2 * MAILS, ("claim", "seconds_to_next"))],
    ids=["few waiting", "many waiting to be due"],
)
def test_everyday_operations_read_few_rows_of_a_full_postgresql(
    each_postgres: str, waiting: int, ahead: int, names: tuple[str, ...]
) -> None:
    url = emptied(each_postgres)
    with opened(url) as queue:
        queue.add(mail("1"))
    fill(url, FILL.format(mails=MAILS, waiting=waiting, ahead=ahead))
    with psycopg.connect(url, autocommit=True) as session:
        read = {}
        for name in names:
            before = rows_read(session)
            with opened(url) as queue:
                OPERATIONS[name](queue, OutboxAdmin(queue._database))
            read[name] = rows_read(session) - before
    assert sum(read.values()) > 0
    assert {name: rows for name, rows in read.items() if rows > MAX_READ} == {}


def test_a_claim_reads_few_rows_although_postgresql_expects_none_to_be_due(each_postgres: str) -> None:
    url = emptied(each_postgres)
    with opened(url):
        pass
    fill(url, FILL.format(mails=MAILS, waiting=0, ahead=0))
    fill(url, f"UPDATE outbox SET state = 'queued' WHERE id > {MAILS // 2}")
    with psycopg.connect(url, autocommit=True) as session:
        before = rows_read(session)
        with opened(url) as queue:
            assert len(claim(queue, 5, 60)) == 5
        assert 0 < rows_read(session) - before <= MAX_READ


def test_no_more_mails_are_claimed_than_asked_for_when_postgresql_knows_nothing_of_them(each_postgres: str) -> None:
    """Statistics from before the mails waited make PostgreSQL choose other plans."""
    url = emptied(each_postgres)
    with opened(url) as queue:
        fill(url, FILL.format(mails=2000, waiting=0, ahead=0))
        for number in range(100):
            queue.add(mail(f"{number}"))
        assert len(claim(queue, 5, 60)) == 5
        assert Retention(queue._database).purge(-1) == MAX_BATCH


def fill(url: str, sql: str) -> None:
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(sql)


def rows_read(session: psycopg.Connection[Any]) -> int:
    """Return how many rows and index entries all sessions have read that have ended. They tell it at their end."""
    wait_until(lambda: session.execute(OTHERS).fetchone() == (0,))
    row = session.execute(ROWS_READ).fetchone()
    assert row is not None
    return int(row[0])


def test_mails_to_an_address_are_found_by_an_index(queue: OutboxQueue) -> None:
    deliveries = DeliveryEventStore(queue._database)
    queue.add(mail("1"))
    bounce = RelayEvent(
        "e", "bounce", MOMENT, None, None, Delivery.BOUNCED, "shop", "1", None, None, "a@example.com", "{}"
    )
    with plans(queue) as lines:
        deliveries.record([bounce])
        OutboxAdmin(queue._database).resend(Resend("shop", "1"), str)
    reads = [line for line in lines if READS.match(line)]
    assert sum("outbox_recipient (shop=? AND recipient=?" in line for line in reads) == 1
    assert sum("outbox_state (shop=? AND state=?" in line for line in reads) == 1
    assert not [line for line in reads if line.startswith("SCAN")]


@pytest.mark.parametrize("name", ["find", "cancel", "requeue"])
def test_an_order_is_found_by_its_id(queue: OutboxQueue, name: str) -> None:
    with plans(queue) as lines:
        getattr(OutboxAdmin(queue._database), name)("shop", "1")
    assert [line for line in lines if READS.match(line) and "(shop=? AND order_id=?" not in line] == []
