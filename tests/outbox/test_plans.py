"""SQLite's query plans: no statement reads all mails to find a few. The plans do not depend on the content."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from outboxes import claim, mail, opened, reclaim
from sqlalchemy import event

from orderconfirm.models import Delivery, RelayEvent, Resend, Search, State
from orderconfirm.outbox.admin import OutboxAdmin
from orderconfirm.outbox.clock import ClockWatch
from orderconfirm.outbox.delivery_events import DeliveryEventStore
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retention import Retention
from orderconfirm.outbox.stats import read_stats

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


@pytest.mark.parametrize("times", [{}, {"since": MOMENT}, {"until": MOMENT}, {"since": MOMENT, "until": MOMENT}])
@pytest.mark.parametrize("cursor", [None, CURSOR])
@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({}, "newest (shop=?"),
        ({"states": (State.HELD,)}, "state (shop=? AND state=?"),
        ({"states": (State.HELD, State.SENT)}, "state (shop=? AND state=?"),
        ({"states": tuple(State)}, "state (shop=? AND state=?"),
        ({"recipient": "a@example.com"}, "recipient (shop=? AND recipient=?"),
        ({"recipient": "a@example.com", "states": (State.SENT,)}, "recipient (shop=? AND recipient=?"),
        ({"recipient": "a@example.com", "states": (State.SENT, State.HELD)}, "recipient (shop=? AND recipient=?"),
    ],
)
def test_each_list_is_read_from_an_index_in_order(
    queue: OutboxQueue, filters: dict[str, Any], index: str, cursor: str | None, times: dict[str, Any]
) -> None:
    with plans(queue) as lines:
        OutboxAdmin(queue._database).search("shop", Search(**filters, **times), cursor, 50)
    reads = [line for line in lines if READS.match(line) and "INTEGER PRIMARY KEY" not in line]
    of_each_state = "states" in filters and "recipient" not in filters
    assert len(reads) == (len(filters["states"]) if of_each_state else 1)
    for line in reads:
        assert line.startswith(f"SEARCH outbox USING INDEX outbox_{index}")
        assert ("accepted_at" in line) == bool(cursor or times)
    # Only the newest mails of several states are sorted.
    assert sum("TEMP B-TREE" in line for line in lines) == of_each_state


@pytest.mark.parametrize(
    "operation",
    [
        lambda queue, admin: queue.add(mail("1")),
        lambda queue, admin: admin.resend(Resend("shop", "1"), str),
        lambda queue, admin: claim(queue, 1, 60),
        lambda queue, admin: queue.seconds_to_next(),
        lambda queue, admin: reclaim(queue),
        lambda queue, admin: ClockWatch(queue._database, 60).check(0.0),
        lambda queue, admin: admin.find("shop", "1"),
        lambda queue, admin: admin.cancel("shop", "1"),
        lambda queue, admin: admin.requeue("shop", "1"),
        lambda queue, admin: admin.requeue_all("shop", [State.FAILED]),
        lambda queue, admin: Retention(queue._database).erase("shop", "1"),
        lambda queue, admin: Retention(queue._database).purge(60),
        lambda queue, admin: read_stats(queue._database),
    ],
)
def test_everyday_operations_find_their_mails_in_an_index(
    queue: OutboxQueue, operation: Callable[[OutboxQueue, OutboxAdmin], Any]
) -> None:
    with plans(queue) as lines:
        operation(queue, OutboxAdmin(queue._database))
    reads = [line for line in lines if READS.match(line)]
    assert reads
    assert [line for line in reads if line.startswith("SCAN") and not SMALL.match(line)] == []


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
    assert sum("outbox_recipient (shop=? AND recipient=?" in line for line in reads) == 2
    assert not [line for line in reads if line.startswith("SCAN")]


@pytest.mark.parametrize("name", ["find", "cancel", "requeue"])
def test_an_order_is_found_by_its_id(queue: OutboxQueue, name: str) -> None:
    with plans(queue) as lines:
        getattr(OutboxAdmin(queue._database), name)("shop", "1")
    assert [line for line in lines if READS.match(line) and "(shop=? AND order_id=?" not in line] == []
