"""The outbox on a real SQLite file and a real PostgreSQL: one suite for both."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from orderconfirm.errors import OutboxUnavailable
from orderconfirm.models import NewMail, State
from orderconfirm.outbox.retry import SENT, Settlement
from orderconfirm.outbox.store import Report, Store
from orderconfirm.outbox.tables import metadata


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/outbox.db"
    server: str = request.getfixturevalue("postgres")
    engine = create_engine(server.replace("postgresql://", "postgresql+psycopg://"))
    metadata.drop_all(engine)
    engine.dispose()
    return server


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    store.open()
    yield store
    store.close()


def mail(order_id: str, fingerprint: str = "f") -> NewMail:
    return NewMail("shop", order_id, f"<{order_id}@x>", "a@example.com", {"order_id": order_id}, {}, fingerprint)


def test_an_order_is_stored_once_and_the_first_one_stays(store: Store) -> None:
    first = store.add(mail("1", "first"))
    second = store.add(mail("1", "second"))
    assert (first.is_new, second.is_new) == (True, False)
    assert second.fingerprint == "first"
    assert second.entry.accepted_at == first.entry.accepted_at


def test_the_same_order_id_in_many_threads_becomes_one_row(store: Store) -> None:
    with ThreadPoolExecutor(16) as threads:
        receipts = list(threads.map(lambda _: store.add(mail("1")), range(64)))
    assert [receipt.is_new for receipt in receipts].count(True) == 1


def test_what_was_stored_is_there_after_a_reopening(url: str) -> None:
    for is_new in (True, False):
        store = Store(url)
        store.open()
        assert store.add(mail("1")).is_new is is_new
        store.close()


def test_a_claim_takes_due_mails_only_once_and_no_more_than_asked(store: Store) -> None:
    for number in range(5):
        store.add(mail(str(number)))
    first, second, third = store.claim(3, 60), store.claim(3, 60), store.claim(3, 60)
    assert [len(claim) for claim in (first, second, third)] == [3, 2, 0]
    assert {claimed.order_id for claimed in first + second} == set("01234")


def test_two_stores_on_one_database_never_claim_the_same_mail(url: str, store: Store) -> None:
    for number in range(60):
        store.add(mail(str(number)))
    other = Store(url)
    other.open()
    with ThreadPoolExecutor(4) as threads:
        claims = list(threads.map(lambda number: (store, other)[number % 2].claim(5, 60), range(16)))
    other.close()
    ids = [claimed.id for claim in claims for claimed in claim]
    assert sorted(ids) == sorted(set(ids))
    assert len(ids) == 60


def test_a_settled_mail_tells_its_story(store: Store) -> None:
    store.add(mail("1"))
    [claimed] = store.claim(1, 60)
    assert store.settle(claimed, SENT, Report("dot", 250, "2.0.0 Ok", 0.5))
    entry = store.find("shop", "1")
    assert entry is not None
    assert (entry.state, entry.attempts) == (State.SENT, 1)
    assert [(e.event, e.code, e.text, e.seconds) for e in entry.history] == [("sent", 250, "2.0.0 Ok", 0.5)]
    assert store.claim(1, 60) == []


def test_a_deferred_mail_is_due_again_after_its_delay(store: Store) -> None:
    store.add(mail("1"))
    [claimed] = store.claim(1, 60)
    store.settle(claimed, Settlement(State.QUEUED, "deferred", "451", delay=30))
    assert store.claim(1, 60) == []
    wait = store.seconds_to_next()
    assert wait is not None and 25 < wait <= 30


def test_an_unknown_outcome_is_counted_as_a_possible_copy(store: Store) -> None:
    store.add(mail("1"))
    [claimed] = store.claim(1, 60)
    store.settle(claimed, Settlement(State.UNKNOWN, "unknown", "cut off", may_be_copy=True))
    [again] = store.claim(1, 60)
    assert again.message_id == claimed.message_id
    entry = store.find("shop", "1")
    assert entry is not None and entry.possible_copies == 1


def test_an_expired_lease_is_claimed_again_and_its_old_holder_can_change_nothing(store: Store) -> None:
    store.add(mail("1"))
    [old] = store.claim(1, -1)
    assert store.reclaim_abandoned() == 1
    [new] = store.claim(1, 60)
    assert store.settle(old, SENT) is False
    entry = store.find("shop", "1")
    assert entry is not None and (entry.state, entry.possible_copies) == (State.SENDING, 1)
    assert store.settle(new, SENT) is True


def test_a_lease_that_still_runs_is_left_alone(store: Store) -> None:
    store.add(mail("1"))
    store.claim(1, 60)
    assert store.reclaim_abandoned() == 0


def test_nothing_waits_in_an_empty_outbox(store: Store) -> None:
    assert store.seconds_to_next() is None
    assert store.find("shop", "1") is None


def test_a_closed_store_takes_nothing(url: str) -> None:
    with pytest.raises(OutboxUnavailable):
        Store(url).add(mail("1"))


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutboxUnavailable, match="DATABASE_URL"):
        Store(f"sqlite:///{tmp_path}/file/outbox.db").open()


def test_a_full_database_refuses_the_order_and_takes_it_when_there_is_room(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/outbox.db")
    store.open()
    store._writer.do(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count=20").all())
    taken = 0
    with pytest.raises(OutboxUnavailable, match="full"):
        for taken in range(10_000):
            store.add(mail(str(taken), "f" * 64))
    store._writer.do(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count=100000").all())
    assert store.add(mail(str(taken))).is_new
    assert len(store.claim(10_000, 60)) == taken + 1
    store.close()


def test_the_clock_is_the_database_s_and_right(store: Store) -> None:
    before = time.time()
    entry = store.add(mail("1")).entry
    assert before - 2 < entry.accepted_at.timestamp() < time.time() + 2


def test_the_mails_of_a_dead_process_are_back_at_once_and_those_of_a_living_one_are_not(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/outbox.db"
    dead, living, next_start = Store(url), Store(url), Store(url)
    for store in (dead, living, next_start):
        store.open()
    dead.add(mail("1"))
    living.add(mail("2"))
    [first], [second] = dead.claim(1, 60), living.claim(1, 60)
    dead.close()  # its lock goes, as it does at kill -9
    assert next_start.reclaim_abandoned() == 1
    assert [claimed.order_id for claimed in next_start.claim(5, 60)] == [first.order_id]
    assert living.settle(second, SENT)
    for store in (living, next_start):
        store.close()


def test_tables_of_another_version_are_refused_by_name(url: str) -> None:
    store = Store(url)
    store.open()
    store._writer.do(lambda connection: connection.exec_driver_sql("ALTER TABLE outbox DROP COLUMN reason"))
    store.close()
    with pytest.raises(OutboxUnavailable, match="outbox.reason"):
        Store(url).open()
