"""The merchants' copies in the outbox, on a real SQLite file and a real PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from outboxes import find, mail, opened, reclaim, run, settle

from orderconfirm.errors import WrongState
from orderconfirm.models import ClaimedMail, Event, MerchantCopy, NewCopy, State
from orderconfirm.outbox.admin import OutboxAdmin
from orderconfirm.outbox.copy_numbers import copies_among, number_of
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retention import Retention
from orderconfirm.outbox.retry import RELEASED, SENT, Outcome
from orderconfirm.queries import COMMON_ACCOUNT

COPY = NewCopy("sales@shop.example", "<copy@x>")


def add(queue: OutboxQueue, *order_ids: str) -> None:
    for order_id in order_ids:
        queue.add(replace(mail(order_id), copy=COPY))


def claim(queue: OutboxQueue, limit: int, copies: int, lease_seconds: float = 60) -> list[ClaimedMail]:
    exchange = queue.exchange([], {COMMON_ACCOUNT: limit}, lease_seconds, {COMMON_ACCOUNT: copies})
    assert exchange.failure is None
    return exchange.claimed


def copy_of(queue: OutboxQueue, order_id: str) -> MerchantCopy:
    copy = find(queue, order_id).merchant_copy
    assert copy is not None
    return copy


def test_copies_are_claimed_with_what_the_mails_leave(queue: OutboxQueue) -> None:
    add(queue, "1", "2")
    queue.add(mail("without"))
    assert [each.is_copy for each in claim(queue, 2, 2)] == [False, False]
    claimed = claim(queue, 10, 2)
    assert [(each.order_id, each.is_copy) for each in claimed] == [("without", False), ("1", True)]
    [copy] = claim(queue, 10, 2)
    assert (copy.order_id, copy.recipient, copy.message_id) == ("2", COPY.recipient, COPY.message_id)
    assert (copy.payload is not None, copy.send_before) == (True, None)
    assert claim(queue, 10, 2) == []


def test_a_mail_and_its_copy_are_settled_apart(queue: OutboxQueue) -> None:
    add(queue, "1")
    found, copy = claim(queue, 10, 2)
    assert found.lease_token != copy.lease_token
    assert settle(queue, copy, Outcome(State.FAILED, Event.FAILED, "no such user"))
    assert (find(queue, "1").state, copy_of(queue, "1").state) == (State.SENDING, State.FAILED)
    assert settle(queue, found, SENT)
    entry = find(queue, "1")
    assert (entry.state, [each.event for each in entry.history]) == (State.SENT, ["sent"])
    assert [(each.event, each.text) for each in copy_of(queue, "1").history] == [("failed", "no such user")]
    assert not settle(queue, copy, SENT)


def test_the_next_copy_is_awaited_only_where_it_may_be_claimed(queue: OutboxQueue) -> None:
    add(queue, "1")
    [found, copy] = claim(queue, 10, 2)
    settle(queue, found, SENT)
    settle(queue, copy, RELEASED)
    assert queue.seconds_to_next([COMMON_ACCOUNT]) is None
    assert queue.seconds_to_next([COMMON_ACCOUNT], [COMMON_ACCOUNT]) == 0


def test_the_copy_of_a_dead_process_is_sent_again_also_where_mails_are_held(queue: OutboxQueue) -> None:
    add(queue, "1")
    claim(queue, 10, 2, lease_seconds=-1)
    assert reclaim(queue, holds=True) == 1  # the mail; a copy is no order's mail
    assert find(queue, "1").state is State.HELD
    copy = copy_of(queue, "1")
    assert (copy.state, copy.possible_copies, [each.event for each in copy.history]) == (
        State.QUEUED,
        1,
        ["interrupted"],
    )


def test_the_copy_that_a_killed_process_had_not_begun_is_no_possible_copy(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/outbox.db"
    with opened(url) as queue:
        add(queue, "1", "2")
        with opened(url) as dying:
            _, _, first, _ = claim(dying, 10, 4)
            locks = dying._database.process_locks
            locks.note_begun(number_of(first))
            assert copies_among(locks.begun_by(locks.owner) or ()) == [first.id]
            held, locks._held = locks._held, None  # type: ignore[attr-defined]  # release() would delete the file
            locks._notes = None  # type: ignore[attr-defined]
            held.close()
            reclaim(queue)
        assert [copy_of(queue, order).possible_copies for order in "12"] == [1, 0]


def test_a_copy_is_deleted_with_the_content_of_its_order(queue: OutboxQueue) -> None:
    add(queue, "1", "2", "3")
    for claimed in claim(queue, 3, 3) + claim(queue, 3, 3):
        if claimed.order_id != "3":
            settle(queue, claimed, SENT)
    retention = Retention(queue._database)
    with pytest.raises(WrongState):
        retention.erase("shop", "3")
    assert copy_of(queue, "3").recipient == COPY.recipient
    assert retention.erase("shop", "1")
    assert retention.purge(-1) == 1
    assert [find(queue, order).merchant_copy for order in "12"] == [None, None]
    assert [each.event for each in find(queue, "1").history] == ["erased"]


def test_a_waiting_copy_is_erased_and_cancelled_with_its_mail(queue: OutboxQueue) -> None:
    add(queue, "1", "2")
    assert Retention(queue._database).erase("shop", "1")
    assert OutboxAdmin(queue._database).cancel("shop", "2")
    assert find(queue, "1").merchant_copy is None
    assert copy_of(queue, "2").state is State.CANCELLED
    assert claim(queue, 10, 10) == []


def test_a_copy_whose_order_an_earlier_version_erased_is_claimed_without_content(queue: OutboxQueue) -> None:
    add(queue, "1")
    run(queue, "UPDATE outbox SET payload = NULL, recipient = NULL, state = 'cancelled'")
    [copy] = claim(queue, 10, 10)
    assert (copy.is_copy, copy.payload) == (True, None)
