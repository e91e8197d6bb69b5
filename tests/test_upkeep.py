"""What runs beside the sending, on a real database, with the clocks passed in or moved by hand."""

from __future__ import annotations

import pytest
from outboxes import find, mail, run

from orderconfirm.models import State
from orderconfirm.outbox.desk import Desk
from orderconfirm.outbox.retry import SENT
from orderconfirm.outbox.store import Store
from orderconfirm.outbox.upkeep import FORGET_SECONDS, LOOK_SECONDS, Upkeep

LEASE = 100.0


class JumpingStore(Store):
    """A store whose database clock is off by `offset` seconds."""

    offset = 0.0

    def clock(self) -> float:
        return super().clock() + self.offset


@pytest.fixture
def jumping(store: Store) -> JumpingStore:
    return JumpingStore(store._database, 1000)


def make_upkeep(store: Store, holds: bool = False) -> Upkeep:
    return Upkeep(store, Desk(store._database), keep_seconds=500, lease_seconds=LEASE, holds_unknown=holds)


def abandon(store: Store, order_id: str) -> None:
    """A mail whose lease has run out, held by a process that nobody knows."""
    store.add(mail(order_id))
    store.claim(1, -1)
    run(store, f"UPDATE outbox SET lease_owner = 'gone' WHERE order_id = '{order_id}'")


def test_an_abandoned_mail_comes_back_at_the_next_look(store: Store, log: list[str]) -> None:
    upkeep = make_upkeep(store)
    upkeep.run([], 10.0)
    abandon(store, "1")
    upkeep.run([], 10.0 + LOOK_SECONDS / 2)
    assert find(store, "1").state is State.SENDING
    upkeep.run([], 10.0 + LOOK_SECONDS)
    assert find(store, "1").state is State.QUEUED
    assert any("may arrive twice" in line for line in log)


def test_in_doubt_it_is_held_when_that_is_wanted(store: Store) -> None:
    abandon(store, "1")
    make_upkeep(store, holds=True).run([], 0.0)
    assert find(store, "1").state is State.HELD


def test_after_a_jump_of_the_clock_leases_are_left_alone_as_long_as_one_lasts(
    jumping: JumpingStore, url: str, log: list[str]
) -> None:
    upkeep = make_upkeep(jumping)
    upkeep.run([], 0.0)
    jumping.add(mail("1"))
    jumping.claim(1, -1)
    run(jumping, "UPDATE outbox SET lease_token = 'of another process'")
    jumping.offset = 3600.0
    upkeep.run([], LOOK_SECONDS)
    assert log == ["the database's clock jumped"]
    assert find(jumping, "1").state is State.SENDING
    # Later looks find no further jump: the monotonic clock has moved as well.
    jumping.offset += LEASE + LOOK_SECONDS
    upkeep.run([], LOOK_SECONDS + LEASE + LOOK_SECONDS)
    assert find(jumping, "1").state is State.QUEUED


def test_a_clock_that_goes_back_leaves_no_mail_behind(jumping: JumpingStore) -> None:
    upkeep = make_upkeep(jumping)
    jumping.offset = 3600.0
    upkeep.run([], 0.0)
    jumping.add(mail("1"))
    run(jumping, "UPDATE outbox SET due_at = due_at + 3600, changed_at = changed_at + 3600")
    assert jumping.claim(1, 60) == []
    jumping.offset = 0.0
    upkeep.run([], LOOK_SECONDS)
    assert len(jumping.claim(1, 60)) == 1


def test_a_start_after_the_clock_went_back_leaves_no_mail_behind(store: Store) -> None:
    store.add(mail("1"))
    run(store, "UPDATE outbox SET due_at = due_at + 3600, changed_at = changed_at + 3600")
    make_upkeep(store).run([], 0.0)
    assert len(store.claim(1, 60)) == 1


def test_old_content_is_deleted_now_and_then(store: Store) -> None:
    upkeep = make_upkeep(store)
    upkeep.run([], 0.0)
    store.add(mail("1"))
    [claimed] = store.claim(1, 60)
    store.settle(claimed, SENT)
    run(store, "UPDATE outbox SET changed_at = changed_at - 1000")
    upkeep.run([], FORGET_SECONDS - 1)
    assert store.add(mail("1")).payload is not None
    upkeep.run([], FORGET_SECONDS)
    assert store.add(mail("1")).payload is None
