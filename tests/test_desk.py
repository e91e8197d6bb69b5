"""What a person does with the outbox, on a real SQLite file and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from outboxes import find, mail, opened, run

from orderconfirm.errors import ContentDeleted, KeyConflict, OrderConfirmError, WrongState
from orderconfirm.models import RelayEvent, Resend, State
from orderconfirm.outbox.deliveries import Deliveries
from orderconfirm.outbox.desk import Desk
from orderconfirm.outbox.retry import SENT, Settlement
from orderconfirm.outbox.store import Store


def desk(store: Store) -> Desk:
    return Desk(store._database)


def end(store: Store, order_id: str, settlement: Settlement) -> None:
    """Take an order in and let its first attempt end so."""
    store.add(mail(order_id))
    [claimed] = store.claim(1, 60)
    store.settle(claimed, settlement)


NOW = datetime(2025, 3, 15, tzinfo=UTC)
FAILED = Settlement(State.FAILED, "failed", "550 no")


def test_a_failed_mail_is_put_back_with_all_its_time(store: Store) -> None:
    end(store, "1", FAILED)
    before = find(store, "1")
    assert desk(store).requeue("shop", "1") == 1
    [claimed] = store.claim(5, 60)
    assert (claimed.order_id, claimed.attempts, claimed.message_id) == ("1", 0, before.message_id)
    assert claimed.tried_at is None
    assert [event.event for event in find(store, "1").history] == ["failed", "requeued"]


def test_all_failed_mails_are_put_back_and_no_others(store: Store) -> None:
    for number in range(3):
        end(store, f"f{number}", FAILED)
    end(store, "held", Settlement(State.HELD, "held"))
    end(store, "sent", SENT)
    assert desk(store).requeue_all("shop", [State.FAILED]) == 3
    assert desk(store).requeue_all("other shop") == 0
    assert {claimed.order_id for claimed in store.claim(9, 60)} == {"f0", "f1", "f2"}


@pytest.mark.parametrize("settlement", [SENT, Settlement(State.CANCELLED, "cancelled")])
def test_what_is_sent_or_withdrawn_stays_so(store: Store, settlement: Settlement) -> None:
    end(store, "1", settlement)
    assert desk(store).requeue("shop", "1") == 0
    assert desk(store).cancel("shop", "1") is False
    assert find(store, "1").state is settlement.state


def test_a_waiting_mail_is_withdrawn_and_never_claimed(store: Store) -> None:
    store.add(mail("1"))
    assert desk(store).cancel("shop", "1") is True
    assert store.claim(5, 60) == []
    assert find(store, "1").state is State.CANCELLED


def test_a_mail_on_its_way_cannot_be_withdrawn(store: Store) -> None:
    store.add(mail("1"))
    store.claim(1, 60)
    assert desk(store).cancel("shop", "1") is False


def test_an_unknown_outcome_need_not_wait(store: Store) -> None:
    end(store, "1", Settlement(State.UNKNOWN, "unknown", delay=600, may_be_copy=True))
    assert store.claim(1, 60) == []
    assert desk(store).requeue("shop", "1") == 1
    assert [claimed.possible_copies for claimed in store.claim(1, 60)] == [1]


def test_finished_content_is_forgotten_and_its_id_is_not(store: Store) -> None:
    end(store, "old", SENT)
    run(store, "UPDATE outbox SET changed_at = changed_at - 1000")
    end(store, "new", SENT)
    store.add(mail("waiting"))
    run(store, "UPDATE outbox SET changed_at = changed_at - 1000 WHERE order_id = 'waiting'")
    assert (desk(store).forget(500), desk(store).forget(500)) == (1, 0)
    replayed = store.add(mail("old"))
    assert (replayed.is_new, replayed.payload, replayed.fingerprint) == (False, None, "f")
    with store._database.reading() as connection:
        kept = connection.exec_driver_sql("SELECT order_id FROM outbox WHERE recipient IS NOT NULL").scalars().all()
    assert sorted(kept) == ["new", "waiting"]


def test_what_was_forgotten_cannot_be_sent_again(store: Store) -> None:
    end(store, "1", FAILED)
    desk(store).forget(-1)
    assert desk(store).requeue("shop", "1") == 0


def test_the_newest_mails_come_first_and_only_those_asked_for(store: Store) -> None:
    for number in range(5):
        store.add(mail(str(number)))
    assert [entry.order_id for entry in desk(store).newest(list(State), 3)] == ["4", "3", "2"]
    assert desk(store).newest([State.FAILED], 3) == []


def test_figures_tell_what_moves_what_needs_a_person_and_how_long_it_waits(store: Store) -> None:
    for number in range(3):
        end(store, f"f{number}", FAILED)
    end(store, "u", Settlement(State.UNKNOWN, "unknown", delay=600, may_be_copy=True))
    store.add(mail("q"))
    run(store, "UPDATE outbox SET due_at = due_at - 90 WHERE order_id = 'q'")
    figures = desk(store).figures()
    assert figures.mails == {State.FAILED: 3, State.UNKNOWN: 1, State.QUEUED: 1}
    assert 89 < figures.oldest_due < 99
    assert figures.possible_copies == 1


def test_a_retry_keeps_a_time_limit_that_has_not_come(store: Store) -> None:
    end(store, "early", FAILED)
    end(store, "late", FAILED)
    run(store, "UPDATE outbox SET send_before = due_at + 3600 WHERE order_id = 'early'")
    run(store, "UPDATE outbox SET send_before = due_at - 3600 WHERE order_id = 'late'")
    desk(store).requeue_all("shop", [State.FAILED])
    assert {each.order_id: each.send_before is not None for each in store.claim(2, 60)} == {
        "early": True,
        "late": False,
    }


def test_a_damaged_row_can_still_be_looked_at(store: Store) -> None:
    end(store, "1", FAILED)
    run(store, "UPDATE outbox SET accepted_at = 1e300")
    assert find(store, "1").accepted_at.year == 1970
    assert [entry.order_id for entry in desk(store).newest([State.FAILED], 9)] == ["1"]


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What each returns or raises."""

    def outcome(act: Callable[[], Any]) -> Any:
        try:
            return act()
        except OrderConfirmError as failure:
            return type(failure)

    with ThreadPoolExecutor(len(acts)) as threads:
        return list(threads.map(outcome, acts))


def test_two_processes_never_send_what_one_of_them_erased(store: Store, url: str) -> None:
    for number in range(20):
        end(store, f"{number}", FAILED)
    with opened(url) as other:
        for number in range(20):
            order_id = f"{number}"
            resent, erased, retried = at_once(
                lambda: desk(store).resend(Resend("shop", order_id, "b@example.com"), str),  # noqa: B023
                lambda: desk(other).erase("shop", order_id),  # noqa: B023
                lambda: desk(other).requeue("shop", order_id),  # noqa: B023
            )
            assert erased is True
            assert resent is ContentDeleted or resent is WrongState or resent[0].revision == 1
            assert retried in (0, 1)
    assert store.claim(99, 60) == []


def test_two_processes_send_an_order_again_once(store: Store, url: str) -> None:
    with opened(url) as other:
        for number in range(20):
            order_id = f"{number}"
            end(store, order_id, Settlement(State.EXPIRED, "expired"))
            at_once(
                lambda: desk(store).resend(Resend("shop", order_id), str),  # noqa: B023
                lambda: desk(other).resend(Resend("shop", order_id), str),  # noqa: B023
                lambda: desk(other).requeue("shop", order_id),  # noqa: B023
            )
            assert len(store.claim(9, 60)) == 1


def test_two_processes_give_one_key_to_one_order(store: Store, url: str) -> None:
    with opened(url) as other:
        for number in range(20):
            outcomes = at_once(
                lambda: store.add(replace(mail(f"{number}a"), idempotency_key=f"k{number}")),  # noqa: B023
                lambda: other.add(replace(mail(f"{number}b"), idempotency_key=f"k{number}")),  # noqa: B023
            )
            assert outcomes.count(KeyConflict) == 1
    assert len(store.claim(99, 60)) == 20


def test_a_key_is_free_again_when_its_order_s_content_is_deleted(store: Store) -> None:
    store.add(replace(mail("1"), idempotency_key="k"))
    with pytest.raises(KeyConflict):
        store.add(replace(mail("2"), idempotency_key="k"))
    [claimed] = store.claim(1, 60)
    store.settle(claimed, SENT)
    desk(store).forget(-1)
    assert store.add(replace(mail("2"), idempotency_key="k")).is_new


def test_an_order_s_mails_are_forgotten_together_with_its_keys(store: Store) -> None:
    end(store, "1", FAILED)
    again = Resend("shop", "1", "b@example.com", idempotency_key="k")
    assert desk(store).resend(again, str) is not None
    assert desk(store).forget(-1) == 0
    assert desk(store).resend(again, str) == (replace(find(store, "1"), history=(), earlier=()), False)
    [claimed] = store.claim(1, 60)
    store.settle(claimed, SENT)
    assert desk(store).forget(-1) == 1
    newest = find(store, "1")
    assert [(mail.recipient, mail.reason) for mail in (*newest.earlier, newest)] == [(None, None)] * 2
    with pytest.raises(ContentDeleted):
        desk(store).resend(again, str)


def test_what_is_forgotten_is_gone_from_the_disk(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as store:
        end(store, "1", FAILED)
        assert desk(store).forget(-1) == 1
        for name in ("outbox.db", "outbox.db-wal"):
            assert b"a@example.com" not in (tmp_path / name).read_bytes()


def test_two_processes_take_events_of_the_same_mails_in_whatever_order(store: Store, url: str) -> None:
    for number in range(20):
        end(store, f"{number}", SENT)

    def events(name: str, numbers: Iterable[int]) -> list[RelayEvent]:
        return [
            RelayEvent(f"{name}{n}", "bounce", NOW, None, None, "shop", f"{n}", None, None, f"a{n}@example.com", "{}")
            for n in numbers
        ]

    with opened(url) as other:
        for turn in range(5):
            here, there = events(f"a{turn}-", range(20)), events(f"{turn}-b", reversed(range(20)))
            taken = at_once(
                lambda: Deliveries(store._database).record(here),  # noqa: B023
                lambda: Deliveries(other._database).record(there),  # noqa: B023
            )
            assert taken == [20, 20]
