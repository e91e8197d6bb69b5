"""OutboxAdmin, Retention and DeliveryEventStore on a real SQLite file and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from outboxes import claim, find, mail, opened, run, settle
from sqlalchemy import event

from orderconfirm.errors import ContentDeleted, KeyConflict, OrderConfirmError, WrongState
from orderconfirm.models import Delivery, RelayEvent, Resend, State
from orderconfirm.outbox.admin import OutboxAdmin
from orderconfirm.outbox.delivery_events import DeliveryEventStore
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retention import Retention
from orderconfirm.outbox.retry import SENT, Outcome
from orderconfirm.outbox.search import OutboxSearch
from orderconfirm.outbox.stats import read_stats
from orderconfirm.queries import Search


def admin(queue: OutboxQueue) -> OutboxAdmin:
    return OutboxAdmin(queue._database)


def end(queue: OutboxQueue, order_id: str, outcome: Outcome) -> None:
    """Add an order and end its first attempt with `outcome`."""
    queue.add(mail(order_id))
    [claimed] = claim(queue, 1, 60)
    settle(queue, claimed, outcome)


@contextmanager
def statements(queue: OutboxQueue) -> Iterator[list[str]]:
    """Yield a list that receives what is executed by SQLAlchemy in write transactions."""
    executed: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        executed.append(statement)

    event.listen(queue._database._writing, "before_cursor_execute", note)
    yield executed
    event.remove(queue._database._writing, "before_cursor_execute", note)


def count(queue: OutboxQueue, table: str) -> int:
    with queue._database.reading() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


NOW = datetime(2025, 3, 15, tzinfo=UTC)
BOUNCE = RelayEvent(
    "event", "bounce", NOW, None, None, Delivery.BOUNCED, "shop", "1", None, None, "a@example.com", "{}"
)
FAILED = Outcome(State.FAILED, "failed", "550 no")


def test_a_requeued_mail_starts_without_earlier_attempts(queue: OutboxQueue) -> None:
    end(queue, "1", FAILED)
    before = find(queue, "1")
    assert admin(queue).requeue("shop", "1") == 1
    [claimed] = claim(queue, 5, 60)
    assert (claimed.order_id, claimed.attempts, claimed.message_id) == ("1", 0, before.message_id)
    assert claimed.tried_at is None
    assert [event.event for event in find(queue, "1").history] == ["failed", "requeued"]


def test_requeue_all_requeues_only_mails_in_the_given_states(queue: OutboxQueue) -> None:
    for number in range(3):
        end(queue, f"f{number}", FAILED)
    end(queue, "held", Outcome(State.HELD, "held"))
    end(queue, "sent", SENT)
    assert admin(queue).requeue_batch(["shop"], [State.FAILED])[0] == 3
    assert admin(queue).requeue_batch(["other shop"], State.RETRYABLE)[0] == 0
    assert {claimed.order_id for claimed in claim(queue, 9, 60)} == {"f0", "f1", "f2"}


@pytest.mark.parametrize("outcome", [SENT, Outcome(State.CANCELLED, "cancelled")])
def test_a_sent_or_cancelled_mail_cannot_be_changed(queue: OutboxQueue, outcome: Outcome) -> None:
    end(queue, "1", outcome)
    assert admin(queue).requeue("shop", "1") == 0
    assert admin(queue).cancel("shop", "1") is False
    assert find(queue, "1").state is outcome.state


def test_a_cancelled_mail_is_never_claimed(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    assert admin(queue).cancel("shop", "1") is True
    assert claim(queue, 5, 60) == []
    assert find(queue, "1").state is State.CANCELLED


def test_a_mail_that_is_being_sent_cannot_be_cancelled(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    claim(queue, 1, 60)
    assert admin(queue).cancel("shop", "1") is False


def test_a_mail_with_an_unknown_outcome_can_be_requeued(queue: OutboxQueue) -> None:
    end(queue, "1", Outcome(State.UNKNOWN, "unknown", delay=600, may_be_copy=True))
    assert claim(queue, 1, 60) == []
    assert admin(queue).requeue("shop", "1") == 1
    assert [claimed.possible_copies for claimed in claim(queue, 1, 60)] == [1]


def test_a_purge_deletes_finished_content_and_keeps_the_order_id(queue: OutboxQueue) -> None:
    end(queue, "old", SENT)
    run(queue, "UPDATE outbox SET changed_at = changed_at - 1000")
    end(queue, "new", SENT)
    queue.add(mail("waiting"))
    run(queue, "UPDATE outbox SET changed_at = changed_at - 1000 WHERE order_id = 'waiting'")
    assert (Retention(queue._database).purge(500), Retention(queue._database).purge(500)) == (1, 0)
    replayed = queue.add(mail("old"))
    assert (replayed.is_new, replayed.payload, replayed.fingerprint) == (False, None, "f")
    with queue._database.reading() as connection:
        order_ids = (
            connection.exec_driver_sql("SELECT order_id FROM outbox WHERE recipient IS NOT NULL").scalars().all()
        )
    assert sorted(order_ids) == ["new", "waiting"]


def test_a_purge_leaves_nothing_of_an_order_but_its_mails(queue: OutboxQueue) -> None:
    deliveries = DeliveryEventStore(queue._database)
    for order_id in ("old", "new"):
        queue.add(replace(mail(order_id), idempotency_key=f"key of {order_id}"))
        [claimed] = claim(queue, 1, 60)
        settle(queue, claimed, SENT)
        deliveries.record(
            [replace(BOUNCE, event_id=order_id, event="delivery", delivery=Delivery.DELIVERED, order_id=order_id)]
        )
    run(queue, "UPDATE outbox SET changed_at = changed_at - 1000 WHERE order_id = 'old'")
    assert Retention(queue._database).purge(500) == 1
    for table in ("history", "delivery_events", "idempotency_keys"):
        assert count(queue, table) == 1, table
    old, new = find(queue, "old"), find(queue, "new")
    assert (old.state, old.delivery, old.history, old.deliveries) == (State.SENT, Delivery.DELIVERED, (), ())
    assert (new.state, new.delivery, len(new.history), len(new.deliveries)) == (State.SENT, Delivery.DELIVERED, 1, 1)


def test_a_purge_of_many_orders_takes_no_more_statements_than_one_of_few(queue: OutboxQueue) -> None:
    counts = []
    for number in (2, 40):
        for each in range(number):
            end(queue, f"{number}-{each}", SENT)
        with statements(queue) as executed:
            assert Retention(queue._database).purge(-1) == number
        counts.append(len(executed))
    assert counts[0] == counts[1] <= 9


def test_two_processes_that_purge_at_once_share_the_orders(queue: OutboxQueue, url: str) -> None:
    for number in range(40):
        end(queue, f"{number}", SENT)
    with opened(url) as other:
        purged = run_concurrently(
            lambda: Retention(queue._database).purge(-1),
            lambda: Retention(other._database).purge(-1),
        )
    assert sum(purged) == 40
    assert count(queue, "history") == 0


def test_an_erasure_leaves_one_event_of_each_mail(queue: OutboxQueue) -> None:
    end(queue, "1", SENT)
    admin(queue).resend(Resend("shop", "1"), str)
    assert Retention(queue._database).erase("shop", "1") is True
    erased = find(queue, "1")
    assert [(each.revision, each.event, each.state) for each in erased.history] == [
        (0, "erased", State.SENT),
        (1, "erased", State.CANCELLED),
    ]


def test_a_purged_mail_cannot_be_requeued(queue: OutboxQueue) -> None:
    end(queue, "1", FAILED)
    Retention(queue._database).purge(-1)
    assert admin(queue).requeue("shop", "1") == 0


def test_stats_count_mails_and_the_age_of_the_oldest(queue: OutboxQueue) -> None:
    for number in range(3):
        end(queue, f"f{number}", FAILED)
    end(queue, "u", Outcome(State.UNKNOWN, "unknown", delay=600, may_be_copy=True))
    queue.add(mail("q"))
    run(queue, "UPDATE outbox SET due_at = due_at - 90 WHERE order_id = 'q'")
    stats = read_stats(queue._database)
    assert stats.mails == {State.FAILED: 3, State.UNKNOWN: 1, State.QUEUED: 1}
    assert 89 < stats.oldest_due < 99
    assert stats.possible_copies == 1


def test_a_requeue_keeps_a_future_time_limit_and_drops_a_past_one(queue: OutboxQueue) -> None:
    end(queue, "early", FAILED)
    end(queue, "late", FAILED)
    run(queue, "UPDATE outbox SET send_before = due_at + 3600 WHERE order_id = 'early'")
    run(queue, "UPDATE outbox SET send_before = due_at - 3600 WHERE order_id = 'late'")
    admin(queue).requeue_batch(["shop"], [State.FAILED])[0]
    assert {each.order_id: each.send_before is not None for each in claim(queue, 2, 60)} == {
        "early": True,
        "late": False,
    }


def test_a_damaged_row_can_still_be_read(queue: OutboxQueue) -> None:
    end(queue, "1", FAILED)
    run(queue, "UPDATE outbox SET accepted_at = 1e300")
    assert find(queue, "1").accepted_at.year == 1970
    entries, _ = OutboxSearch(queue._database).page(None, Search(states=(State.FAILED,)), None, 9)
    assert [entry.order_id for entry in entries] == ["1"]


def run_concurrently(*functions: Callable[[], Any]) -> list[Any]:
    """Return what each function returns, or the type of what it raises."""

    def result_of(function: Callable[[], Any]) -> Any:
        try:
            return function()
        except OrderConfirmError as exc:
            return type(exc)

    with ThreadPoolExecutor(len(functions)) as threads:
        return list(threads.map(result_of, functions))


def test_an_order_erased_by_another_process_is_never_sent(queue: OutboxQueue, url: str) -> None:
    for number in range(20):
        end(queue, f"{number}", FAILED)
    with opened(url) as other:
        for number in range(20):
            order_id = f"{number}"
            resent, erased, retried = run_concurrently(
                lambda: admin(queue).resend(Resend("shop", order_id, "b@example.com"), str),  # noqa: B023
                lambda: Retention(other._database).erase("shop", order_id),  # noqa: B023
                lambda: admin(other).requeue("shop", order_id),  # noqa: B023
            )
            assert erased is True
            assert resent is ContentDeleted or resent is WrongState or resent[0].revision == 1
            assert retried in (0, 1)
    assert claim(queue, 99, 60) == []


def test_concurrent_resends_of_two_processes_send_one_mail(queue: OutboxQueue, url: str) -> None:
    with opened(url) as other:
        for number in range(20):
            order_id = f"{number}"
            end(queue, order_id, Outcome(State.EXPIRED, "expired"))
            run_concurrently(
                lambda: admin(queue).resend(Resend("shop", order_id), str),  # noqa: B023
                lambda: admin(other).resend(Resend("shop", order_id), str),  # noqa: B023
                lambda: admin(other).requeue("shop", order_id),  # noqa: B023
            )
            assert len(claim(queue, 9, 60)) == 1


def test_an_idempotency_key_is_used_once_by_two_processes(queue: OutboxQueue, url: str) -> None:
    with opened(url) as other:
        for number in range(20):
            outcomes = run_concurrently(
                lambda: queue.add(replace(mail(f"{number}a"), idempotency_key=f"k{number}")),  # noqa: B023
                lambda: other.add(replace(mail(f"{number}b"), idempotency_key=f"k{number}")),  # noqa: B023
            )
            assert outcomes.count(KeyConflict) == 1
    assert len(claim(queue, 99, 60)) == 20


def test_a_key_can_be_used_again_after_its_order_is_purged(queue: OutboxQueue) -> None:
    queue.add(replace(mail("1"), idempotency_key="k"))
    with pytest.raises(KeyConflict):
        queue.add(replace(mail("2"), idempotency_key="k"))
    [claimed] = claim(queue, 1, 60)
    settle(queue, claimed, SENT)
    Retention(queue._database).purge(-1)
    assert queue.add(replace(mail("2"), idempotency_key="k")).is_new


def test_all_mails_and_keys_of_an_order_are_purged_together(queue: OutboxQueue) -> None:
    end(queue, "1", FAILED)
    resend = Resend("shop", "1", "b@example.com", idempotency_key="k")
    assert admin(queue).resend(resend, str) is not None
    assert Retention(queue._database).purge(-1) == 0
    assert admin(queue).resend(resend, str) == (replace(find(queue, "1"), history=(), earlier=()), False)
    [claimed] = claim(queue, 1, 60)
    settle(queue, claimed, SENT)
    assert Retention(queue._database).purge(-1) == 1
    newest = find(queue, "1")
    assert [(mail.recipient, mail.reason) for mail in (*newest.earlier, newest)] == [(None, None)] * 2
    with pytest.raises(ContentDeleted):
        admin(queue).resend(resend, str)


def test_purged_data_is_gone_from_the_disk(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue:
        end(queue, "1", FAILED)
        assert Retention(queue._database).purge(-1) == 1
        for name in ("outbox.db", "outbox.db-wal"):
            assert b"a@example.com" not in (tmp_path / name).read_bytes()


def test_two_processes_record_events_of_the_same_mails_without_a_deadlock(queue: OutboxQueue, url: str) -> None:
    for number in range(20):
        end(queue, f"{number}", SENT)

    def events(name: str, numbers: Iterable[int]) -> list[RelayEvent]:
        return [replace(BOUNCE, event_id=f"{name}{n}", order_id=f"{n}", address=f"a{n}@example.com") for n in numbers]

    with opened(url) as other:
        for turn in range(5):
            here, there = events(f"a{turn}-", range(20)), events(f"{turn}-b", reversed(range(20)))
            recorded = run_concurrently(
                lambda: DeliveryEventStore(queue._database).record(here),  # noqa: B023
                lambda: DeliveryEventStore(other._database).record(there),  # noqa: B023
            )
            assert recorded == [20, 20]
