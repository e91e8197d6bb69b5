"""The transfer of an outbox from a SQLite file to a PostgreSQL server and back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from outboxes import claim, mail, opened, run, settle
from sqlalchemy import select

from orderconfirm.errors import OutboxUnavailable, TransferRefused
from orderconfirm.models import Delivery, NewCopy, RelayEvent, Resend, State
from orderconfirm.outbox.admin import OutboxAdmin
from orderconfirm.outbox.delivery_events import DeliveryEventStore
from orderconfirm.outbox.engines import writing_engine
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retry import SENT, Outcome
from orderconfirm.outbox.tables import metadata
from orderconfirm.outbox.transfer import BATCH, transfer
from orderconfirm.outbox.webhook_log import WebhookLog
from orderconfirm.queries import NewWebhook

NOW = datetime(2025, 3, 15, tzinfo=UTC)
EVENT = RelayEvent("1", "bounce", NOW, 550, "no", Delivery.BOUNCED, "shop", "sent", None, None, "b@example.com", "{}")
#: More than one batch.
MANY = BATCH + 50


class Bar:
    """A progress bar that counts."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self._label = ""

    @contextmanager
    def __call__(self, length: int, label: str) -> Iterator[Bar]:
        self._label = label
        self.rows[label] = 0
        yield self
        assert self.rows[label] == length

    def update(self, count: int) -> None:
        self.rows[self._label] += count


@pytest.fixture(params=["to postgresql", "to sqlite"])
def urls(request: pytest.FixtureRequest, tmp_path: Path, empty_postgres: str) -> tuple[str, str]:
    """The URLs of the source and of the target."""
    file = f"sqlite:///{tmp_path}/file/outbox.db"
    return (file, empty_postgres) if request.param == "to postgresql" else (empty_postgres, file)


def fill(url: str) -> None:
    """Put rows into every table, mails in every state among them."""
    with opened(url) as queue:
        admin, events = OutboxAdmin(queue._database), DeliveryEventStore(queue._database)
        for state in State:
            copy = NewCopy("sales@shop.example", f"<copy {state}>")
            queue.add(replace(mail(state.value), idempotency_key=f"clé {state}", send_before=NOW, copy=copy))
            [claimed] = claim(queue, 1, 600)
            if state is not State.SENDING:
                outcome = SENT if state is State.SENT else Outcome(state, state.value, "Größe 5 – 10 €", delay=60)
                settle(queue, claimed, outcome)
        admin.resend(Resend("shop", "sent", "b@example.com"), str)
        events.record([EVENT, replace(EVENT, event_id="2", order_id="unknown", shop="other", address=None)])
        run(queue, "INSERT INTO clock_jumps (noticed_at, trusted_from, seconds) VALUES (1.5, 2.25, 1e6)")
        WebhookLog(queue._database).keep(NewWebhook("shop", "shopify", "orders/create", "refused", "why", "7", "{}"))
        run(
            queue,
            "INSERT INTO callbacks (webhook_id, mail_id, shop, event, at, mail_state, state, due_at) "
            "VALUES ('evt_1', 1, 'shop', 'sent', 1.5, 'sent', 'waiting', 2.5)",
        )
        run(queue, "INSERT INTO gone_endpoints (url, gone_at) VALUES ('https://shop.example', 1)")
        run(
            queue,
            "INSERT INTO senders (name, connections, joined_at, seen_at) VALUES ('ended', 3, 1, 2)",
        )


def rows(url: str, *leaving_out: str) -> dict[str, list[tuple[Any, ...]]]:
    engine = writing_engine(url)
    with engine.connect() as connection:
        found = {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]
            for table in metadata.sorted_tables
            if table.name not in leaving_out
        }
    engine.dispose()
    return {name: sorted(each, key=repr) for name, each in found.items()}


def test_everything_arrives_as_it_was(urls: tuple[str, str]) -> None:
    source, target = urls
    fill(source)
    bar = Bar()
    counts = transfer(source, target, bar)
    before = rows(source)
    assert all(before.values()), "every table has rows"
    assert rows(target, "senders") == {name: each for name, each in before.items() if name != "senders"}
    assert rows(target)["senders"] == []
    assert counts == {name: len(each) for name, each in before.items() if name != "senders"}
    assert bar.rows["outbox"] == bar.rows["outbox, compared"] == counts["outbox"]


def test_a_service_goes_on_in_the_new_database_where_it_stopped_in_the_old_one(urls: tuple[str, str]) -> None:
    source, target = urls
    fill(source)
    transfer(source, target, Bar())
    with opened(target) as queue:
        assert not queue.add(mail("sent")).is_new
        assert queue.add(mail("new")).entry.id > max(row[0] for row in rows_of_outbox(source))
        assert [claimed.order_id for claimed in claim(queue, 1, 60)] == ["new"]
        OutboxAdmin(queue._database).resend(Resend("shop", "cancelled"), str)


def rows_of_outbox(url: str) -> list[tuple[Any, ...]]:
    return rows(url)["outbox"]


def test_an_interrupted_transfer_goes_on_where_it_stopped(urls: tuple[str, str]) -> None:
    source, target = urls
    with opened(source, max_pending=2 * MANY) as queue:
        for number in range(MANY):
            queue.add(mail(f"{number}"))
        OutboxAdmin(queue._database).cancel("shop", "0")

    class Interrupted(Bar):
        def update(self, count: int) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        transfer(source, target, Interrupted())
    assert (len(rows_of_outbox(target)), len(rows(target)["history"])) == (BATCH, 0)
    for _ in range(2):
        assert transfer(source, target, Bar())["outbox"] == MANY
    assert rows(target) == rows(source)


def test_a_transfer_of_an_empty_outbox_makes_an_empty_outbox(urls: tuple[str, str]) -> None:
    source, target = urls
    with opened(source):
        pass
    assert set(transfer(source, target, Bar()).values()) == {0}
    with opened(target) as queue:
        assert queue.add(mail("1")).entry.id == 1


def test_a_target_with_other_orders_is_refused_and_keeps_them(urls: tuple[str, str]) -> None:
    source, target = urls
    fill(source)
    with opened(target) as queue:
        queue.add(mail("of another shop"))
    before = rows(target)
    with pytest.raises(TransferRefused, match="an empty database"):
        transfer(source, target, Bar())
    assert rows(target) == before


def test_a_target_that_was_used_after_the_transfer_is_refused_and_keeps_what_it_has(urls: tuple[str, str]) -> None:
    source, target = urls
    fill(source)
    transfer(source, target, Bar())
    with opened(target) as queue:
        OutboxAdmin(queue._database).requeue("shop", "failed")
    before = rows(target)
    with pytest.raises(TransferRefused, match="was used meanwhile"):
        transfer(source, target, Bar())
    assert rows(target) == before


def test_a_source_that_was_used_after_an_interruption_is_refused(urls: tuple[str, str]) -> None:
    source, target = urls
    with opened(source) as queue:
        queue.add(mail("1"))
    transfer(source, target, Bar())
    with opened(source) as queue:
        claim(queue, 1, 60)
    with pytest.raises(TransferRefused, match="outbox differs"):
        transfer(source, target, Bar())


@pytest.mark.parametrize("used", ["source", "target"])
def test_a_database_that_a_service_uses_is_refused(urls: tuple[str, str], used: str) -> None:
    source, target = urls
    for url in urls:
        with opened(url):
            pass
    with opened(source if used == "source" else target) as queue:
        queue.add(mail("1"))
        with pytest.raises(TransferRefused, match="is in use: stop the services"):
            transfer(source, target, Bar())
        queue.add(mail("2"))


def test_no_service_can_start_during_a_transfer(urls: tuple[str, str]) -> None:
    source, target = urls
    fill(source)
    refused = []

    class Watched(Bar):
        def update(self, count: int) -> None:
            super().update(count)
            if not refused:
                refused.append(cannot_write(source))

    transfer(source, target, Watched())
    assert refused == [True]


def cannot_write(url: str) -> bool:
    """Whether another process can change nothing at this moment."""
    try:
        if url.startswith("sqlite"):
            with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0)) as connection:
                connection.execute("DELETE FROM outbox")
        else:
            with psycopg.connect(url) as session:
                session.execute("SET lock_timeout = '100ms'; DELETE FROM history")
    except (sqlite3.OperationalError, psycopg.errors.LockNotAvailable):
        return True
    return False


def test_a_sqlite_file_is_shared_again_after_the_transfer(tmp_path: Path) -> None:
    source, target = f"sqlite:///{tmp_path}/a.db", f"sqlite:///{tmp_path}/b.db"
    fill(source)
    transfer(source, target, Bar())
    for url in (source, target):
        with opened(url) as here, opened(url) as there:
            assert is_shared(here) and is_shared(there)
    assert (tmp_path / "b.db").stat().st_mode & 0o777 == 0o600


def is_shared(queue: OutboxQueue) -> bool:
    with queue._database.reading() as connection:
        return bool(connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal")


def test_a_source_that_does_not_exist_is_refused_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(TransferRefused, match="does not exist"):
        transfer(f"sqlite:///{tmp_path}/missing.db", f"sqlite:///{tmp_path}/b.db", Bar())
    assert list(tmp_path.iterdir()) == []


def test_a_database_is_not_copied_onto_itself(urls: tuple[str, str]) -> None:
    with opened(urls[0]):
        pass
    with pytest.raises(TransferRefused, match="the same database"):
        transfer(urls[0], urls[0], Bar())


def test_a_target_that_cannot_be_reached_is_named_without_its_password(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/a.db"):
        pass
    with pytest.raises(OutboxUnavailable, match=r"the target \(postgresql shop\)") as raised:
        transfer(f"sqlite:///{tmp_path}/a.db", "postgresql://me:secret@127.0.0.1:1/shop", Bar())
    assert "secret" not in str(raised.value)
