"""What runs beside the sending, on a real database, with the clocks passed in or moved by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from outboxes import find, mail, run

from orderconfirm.models import State
from orderconfirm.outbox.clock import MAX_ABSENCE, ClockWatch
from orderconfirm.outbox.desk import Desk
from orderconfirm.outbox.retry import SENT
from orderconfirm.outbox.store import ClockReading, Store
from orderconfirm.outbox.upkeep import FORGET_SECONDS, LOOK_SECONDS, Upkeep

LEASE = 100.0


class JumpingStore(Store):
    """A store whose database clock is off by `offset` seconds."""

    offset = 0.0

    def clock(self) -> ClockReading:
        reading = super().clock()
        return replace(reading, now=reading.now + self.offset)


@pytest.fixture
def jumping(store: Store) -> JumpingStore:
    return JumpingStore(store._database, 1000)


def make_upkeep(store: Store, holds: bool = False) -> Upkeep:
    clock = ClockWatch(store, LEASE)
    return Upkeep(store._database, store, Desk(store._database), clock, keep_seconds=500, holds_unknown=holds)


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
    assert log[0] == "the database's clock jumped"
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
    upkeep.run([], FORGET_SECONDS - LOOK_SECONDS)
    assert store.add(mail("1")).payload is not None
    upkeep.run([], FORGET_SECONDS)
    assert store.add(mail("1")).payload is None


DAY = 86400.0


def sent_long_ago(store: Store, order_id: str, days: float) -> None:
    """A mail that was sent `days` ago: the same as one sent now, if the clock then goes ahead."""
    store.add(mail(order_id))
    [claimed] = store.claim(1, 60)
    store.settle(claimed, SENT)
    run(store, f"UPDATE outbox SET accepted_at = accepted_at - {days * DAY}, changed_at = changed_at - {days * DAY}")
    run(store, f"UPDATE history SET at = at - {days * DAY}")


def has_content(store: Store, order_id: str) -> bool:
    return store.add(mail(order_id)).payload is not None


def test_a_clock_that_jumps_far_ahead_deletes_nothing_for_a_day(jumping: JumpingStore, log: list[str]) -> None:
    upkeep = make_upkeep(jumping)
    upkeep.run([], 0.0)
    sent_long_ago(jumping, "1", days=1)
    jumping.offset = 40 * DAY
    upkeep.run([], FORGET_SECONDS)
    assert has_content(jumping, "1")
    assert "no content is deleted" in log[1]
    # Another process, or this one after a restart, knows of it too.
    make_upkeep(jumping).run([], 0.0)
    assert has_content(jumping, "1")


def test_a_clock_that_is_set_right_again_is_trusted_at_once(jumping: JumpingStore) -> None:
    upkeep = make_upkeep(jumping)
    upkeep.run([], 0.0)
    sent_long_ago(jumping, "1", days=1)
    jumping.offset = 40 * DAY
    upkeep.run([], FORGET_SECONDS)
    # Set back by 40 days: what was noted then lies in the future.
    jumping.offset = 0.0
    run(
        jumping,
        f"UPDATE clock_jumps SET noticed_at = noticed_at + {40 * DAY}, trusted_from = trusted_from + {40 * DAY}",
    )
    upkeep.run([], 2 * FORGET_SECONDS)
    assert not has_content(jumping, "1")


def test_after_a_day_the_clock_is_believed(jumping: JumpingStore) -> None:
    upkeep = make_upkeep(jumping)
    upkeep.run([], 0.0)
    sent_long_ago(jumping, "1", days=1)
    jumping.offset = 40 * DAY
    upkeep.run([], FORGET_SECONDS)
    run(jumping, f"UPDATE clock_jumps SET noticed_at = noticed_at - {DAY}, trusted_from = trusted_from - {DAY}")
    jumping.offset += DAY
    upkeep.run([], FORGET_SECONDS + DAY)
    assert not has_content(jumping, "1")


def test_a_start_with_a_clock_far_ahead_of_the_last_event_deletes_nothing(store: Store, log: list[str]) -> None:
    sent_long_ago(store, "1", days=40)
    make_upkeep(store).run([], 0.0)
    assert has_content(store, "1")
    assert "no content is deleted" in log[0]


def test_a_start_after_a_few_days_without_orders_is_nothing_special(store: Store, log: list[str]) -> None:
    sent_long_ago(store, "1", days=MAX_ABSENCE / DAY - 1)
    make_upkeep(store).run([], 0.0)
    assert not has_content(store, "1")
    assert log == []


def test_a_time_told_by_a_claim_shows_the_jump_before_any_mail_can_expire(store: Store) -> None:
    clock = ClockWatch(store, LEASE)
    clock.look(0.0)
    assert clock.is_trusted
    clock.observe(store.clock().now + 40 * DAY, 0.1)
    assert not clock.is_trusted
