"""Maintenance and ClockWatch on a real database, with given clocks."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from outboxes import claim, find, mail, run, settle

from orderconfirm.errors import RelayTrouble
from orderconfirm.models import State
from orderconfirm.outbox.breaker import Breaker
from orderconfirm.outbox.clock import MAX_ABSENCE, ClockReading, ClockWatch
from orderconfirm.outbox.maintenance import POLL_INTERVAL, PURGE_INTERVAL, Maintenance
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.relay_account import RelayAccount
from orderconfirm.outbox.retention import Retention
from orderconfirm.outbox.retry import SENT
from orderconfirm.queries import COMMON_ACCOUNT

LEASE = 100.0


class JumpingClock(ClockWatch):
    """A clock watch whose database clock is ahead by `offset` seconds."""

    offset = 0.0

    def read(self) -> ClockReading:
        reading = super().read()
        return replace(reading, now=reading.now + self.offset)


@pytest.fixture
def jumping(queue: OutboxQueue) -> JumpingClock:
    return JumpingClock(queue._database, LEASE)


def make_maintenance(queue: OutboxQueue, clock: ClockWatch | None = None, holds: bool = False) -> Maintenance:
    database = queue._database
    clock = clock or ClockWatch(database, LEASE)
    account: Any = RelayAccount(COMMON_ACCOUNT, "relay:25", 1, Any, Any, Breaker(60), Any, Any)  # type: ignore[arg-type]
    return Maintenance(database, queue, Retention(database), clock, [account], 500, holds, lambda _: None)


def abandon(queue: OutboxQueue, order_id: str) -> None:
    """Add a mail with an expired lease of an unknown process."""
    queue.add(mail(order_id))
    claim(queue, 1, -1)
    run(queue, f"UPDATE outbox SET lease_owner = 'gone' WHERE order_id = '{order_id}'")


def test_an_abandoned_mail_is_queued_again_at_the_next_check(queue: OutboxQueue, lines: list[dict[str, Any]]) -> None:
    maintenance = make_maintenance(queue)
    maintenance.run([], 10.0)
    abandon(queue, "1")
    maintenance.run([], 10.0 + POLL_INTERVAL / 2)
    assert find(queue, "1").state is State.SENDING
    maintenance.run([], 10.0 + POLL_INTERVAL)
    assert find(queue, "1").state is State.QUEUED
    [line] = [line for line in lines if "may arrive twice" in line["event"]]
    assert (line["mails"], line["order_ids"]) == (1, ["1"])


def test_a_long_pause_is_logged_every_hour(queue: OutboxQueue, lines: list[dict[str, Any]]) -> None:
    maintenance = make_maintenance(queue)
    breaker = maintenance.accounts[0].breaker
    queue.add(mail("1"))
    now = time.monotonic()

    def hours_later(hours: float) -> list[dict[str, Any]]:
        maintenance.run([], now + hours * 3600)
        return [line for line in lines if line["event"] == "the relay is still paused"]

    breaker.trip(RelayTrouble("connect", "refused"), now, "check MAIL_PORT")
    assert hours_later(-0.01) == []  # another thread began the pause after the round
    assert hours_later(0.99) == []
    [line] = hours_later(1.01)
    assert (line["relay"], line["mails"], line["advice"]) == ("relay:25", 1, "check MAIL_PORT")
    assert line["reason"] == "connect: refused"
    since = datetime.fromisoformat(line["time"]) - datetime.fromisoformat(line["since"])
    assert since.total_seconds() == pytest.approx(1.01 * 3600, abs=5)
    assert len(hours_later(1.5)) == 1
    assert len(hours_later(3.01)) == 2
    breaker.reset(now + 3.02 * 3600)
    assert len(hours_later(9)) == 2


def test_an_abandoned_mail_is_held_with_holds_unknown(queue: OutboxQueue) -> None:
    abandon(queue, "1")
    make_maintenance(queue, holds=True).run([], 0.0)
    assert find(queue, "1").state is State.HELD


def test_after_a_jump_of_the_clock_no_lease_expires_for_the_length_of_a_lease(
    queue: OutboxQueue, jumping: JumpingClock, log: list[str]
) -> None:
    maintenance = make_maintenance(queue, jumping)
    maintenance.run([], 0.0)
    queue.add(mail("1"))
    claim(queue, 1, -1)
    run(queue, "UPDATE outbox SET lease_token = 'of another process'")
    jumping.offset = 3600.0
    maintenance.run([], POLL_INTERVAL)
    assert log[0] == "the database's clock jumped"
    assert find(queue, "1").state is State.SENDING
    # Later checks find no further jump, because the monotonic clock has moved as well.
    jumping.offset += LEASE + POLL_INTERVAL
    maintenance.run([], POLL_INTERVAL + LEASE + POLL_INTERVAL)
    assert find(queue, "1").state is State.QUEUED


def test_mails_are_due_in_time_after_the_clock_is_set_back(queue: OutboxQueue, jumping: JumpingClock) -> None:
    maintenance = make_maintenance(queue, jumping)
    jumping.offset = 3600.0
    maintenance.run([], 0.0)
    queue.add(mail("1"))
    run(queue, "UPDATE outbox SET due_at = due_at + 3600, changed_at = changed_at + 3600")
    assert claim(queue, 1, 60) == []
    jumping.offset = 0.0
    maintenance.run([], POLL_INTERVAL)
    assert len(claim(queue, 1, 60)) == 1


def test_mails_are_due_in_time_after_a_start_with_the_clock_set_back(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    run(queue, "UPDATE outbox SET due_at = due_at + 3600, changed_at = changed_at + 3600")
    make_maintenance(queue).run([], 0.0)
    assert len(claim(queue, 1, 60)) == 1


def test_old_content_is_purged_at_intervals(queue: OutboxQueue) -> None:
    maintenance = make_maintenance(queue)
    maintenance.run([], 0.0)
    queue.add(mail("1"))
    [claimed] = claim(queue, 1, 60)
    settle(queue, claimed, SENT)
    run(queue, "UPDATE outbox SET changed_at = changed_at - 1000")
    maintenance.run([], PURGE_INTERVAL - POLL_INTERVAL)
    assert queue.add(mail("1")).payload is not None
    maintenance.run([], PURGE_INTERVAL)
    assert queue.add(mail("1")).payload is None


DAY = 86400.0


def sent_long_ago(queue: OutboxQueue, order_id: str, days: float) -> None:
    """Add a mail that was sent `days` ago."""
    queue.add(mail(order_id))
    [claimed] = claim(queue, 1, 60)
    settle(queue, claimed, SENT)
    run(queue, f"UPDATE outbox SET accepted_at = accepted_at - {days * DAY}, changed_at = changed_at - {days * DAY}")
    run(queue, f"UPDATE history SET at = at - {days * DAY}")


def has_content(queue: OutboxQueue, order_id: str) -> bool:
    return queue.add(mail(order_id)).payload is not None


def test_after_a_jump_far_ahead_nothing_is_purged_for_a_day(
    queue: OutboxQueue, jumping: JumpingClock, log: list[str]
) -> None:
    maintenance = make_maintenance(queue, jumping)
    maintenance.run([], 0.0)
    sent_long_ago(queue, "1", days=1)
    jumping.offset = 40 * DAY
    maintenance.run([], PURGE_INTERVAL)
    assert has_content(queue, "1")
    assert "no content is deleted" in log[1]
    # Another process, or this one after a restart, does not trust the clock either.
    make_maintenance(queue, jumping).run([], 0.0)
    assert has_content(queue, "1")


def test_a_corrected_clock_is_trusted_at_once(queue: OutboxQueue, jumping: JumpingClock) -> None:
    maintenance = make_maintenance(queue, jumping)
    maintenance.run([], 0.0)
    sent_long_ago(queue, "1", days=1)
    jumping.offset = 40 * DAY
    maintenance.run([], PURGE_INTERVAL)
    # Set back by 40 days, so that the recorded jump is in the future.
    jumping.offset = 0.0
    run(
        queue,
        f"UPDATE clock_jumps SET noticed_at = noticed_at + {40 * DAY}, trusted_from = trusted_from + {40 * DAY}",
    )
    maintenance.run([], 2 * PURGE_INTERVAL)
    assert not has_content(queue, "1")


def test_a_day_after_a_jump_the_clock_is_trusted(queue: OutboxQueue, jumping: JumpingClock) -> None:
    maintenance = make_maintenance(queue, jumping)
    maintenance.run([], 0.0)
    sent_long_ago(queue, "1", days=1)
    jumping.offset = 40 * DAY
    maintenance.run([], PURGE_INTERVAL)
    run(queue, f"UPDATE clock_jumps SET noticed_at = noticed_at - {DAY}, trusted_from = trusted_from - {DAY}")
    jumping.offset += DAY
    maintenance.run([], PURGE_INTERVAL + DAY)
    assert not has_content(queue, "1")


def test_a_start_with_a_clock_far_ahead_of_the_last_event_purges_nothing(queue: OutboxQueue, log: list[str]) -> None:
    sent_long_ago(queue, "1", days=40)
    make_maintenance(queue).run([], 0.0)
    assert has_content(queue, "1")
    assert "no content is deleted" in log[0]


def test_a_start_after_a_few_days_without_orders_trusts_the_clock(queue: OutboxQueue, log: list[str]) -> None:
    sent_long_ago(queue, "1", days=MAX_ABSENCE / DAY - 1)
    make_maintenance(queue).run([], 0.0)
    assert not has_content(queue, "1")
    assert log == []


def test_a_claim_from_the_far_future_makes_the_clock_distrusted(queue: OutboxQueue) -> None:
    clock = ClockWatch(queue._database, LEASE)
    clock.check(0.0)
    assert clock.is_trusted
    clock.check_claim(clock.read().now + 40 * DAY, 0.1)
    assert not clock.is_trusted


def test_a_note_from_a_time_when_the_clock_was_ahead_does_not_hide_the_next_jump(queue: OutboxQueue) -> None:
    sent_long_ago(queue, "1", days=1)
    run(
        queue,
        f"INSERT INTO clock_jumps (noticed_at, trusted_from, seconds) VALUES ({time.time() + 40 * DAY}, 0, {40 * DAY})",
    )
    run(queue, f"UPDATE outbox SET accepted_at = accepted_at - {34 * DAY}, changed_at = changed_at - {34 * DAY}")
    run(queue, f"UPDATE history SET at = at - {34 * DAY}")
    make_maintenance(queue).run([], 0.0)
    assert has_content(queue, "1")
