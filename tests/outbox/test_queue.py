"""The queue on a real SQLite file and a real PostgreSQL."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from outboxes import claim, find, locked, mail, opened, reclaim, run, settle
from processes import wait_until
from sqlalchemy import event

from orderconfirm.errors import OutboxFull, OutboxUnavailable, UnconfirmedWrite
from orderconfirm.models import State
from orderconfirm.outbox.clock import ClockWatch
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.leases import AttemptResult
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retry import RELEASED, SENT, Outcome
from orderconfirm.outbox.rows import MAX_TEXT_LENGTH
from orderconfirm.queries import COMMON_ACCOUNT


def test_an_order_is_stored_once_and_the_first_one_stays(queue: OutboxQueue) -> None:
    first = queue.add(mail("1", "first"))
    second = queue.add(mail("1", "second"))
    assert (first.is_new, second.is_new) == (True, False)
    assert second.fingerprint == "first"
    assert second.entry.accepted_at == first.entry.accepted_at


def test_concurrent_adds_of_one_order_store_one_row(queue: OutboxQueue) -> None:
    with ThreadPoolExecutor(16) as threads:
        results = list(threads.map(lambda _: queue.add(mail("1")), range(64)))
    assert [result.is_new for result in results].count(True) == 1


def test_a_claim_leases_due_mails_once_and_up_to_its_limit(queue: OutboxQueue) -> None:
    for number in range(5):
        queue.add(mail(str(number)))
    first, second, third = claim(queue, 3, 60), claim(queue, 3, 60), claim(queue, 3, 60)
    assert [len(claim) for claim in (first, second, third)] == [3, 2, 0]
    assert {claimed.order_id for claimed in first + second} == set("01234")


def test_two_processes_never_claim_the_same_mail(url: str, queue: OutboxQueue) -> None:
    for number in range(60):
        queue.add(mail(str(number)))
    with opened(url) as other, ThreadPoolExecutor(4) as threads:
        claims = list(threads.map(lambda number: claim((queue, other)[number % 2], 5, 60), range(16)))
    ids = [claimed.id for claim in claims for claimed in claim]
    assert sorted(ids) == sorted(set(ids))
    assert len(ids) == 60


def test_the_history_of_a_settled_mail_does_not_contain_the_recipient(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    [claimed] = claim(queue, 1, 60)
    assert settle(queue, claimed, SENT, AttemptResult("end_of_data", 250, "2.0.0 <a@example.com> Ok", 0.5))
    entry = find(queue, "1")
    assert (entry.state, entry.attempts) == (State.SENT, 1)
    assert [(e.event, e.code, e.text, e.seconds) for e in entry.history] == [
        ("sent", 250, "2.0.0 <…@example.com> Ok", 0.5)
    ]
    assert claim(queue, 1, 60) == []


def test_a_deferred_mail_is_due_again_after_its_delay(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    [claimed] = claim(queue, 1, 60)
    settle(queue, claimed, Outcome(State.QUEUED, "deferred", "451", delay=30))
    assert claim(queue, 1, 60) == []
    wait = queue.seconds_to_next([COMMON_ACCOUNT])
    assert wait is not None and 25 < wait <= 30


def test_an_unknown_outcome_is_counted_as_a_possible_copy(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    [claimed] = claim(queue, 1, 60)
    settle(queue, claimed, Outcome(State.UNKNOWN, "unknown", "cut off", may_be_copy=True))
    [again] = claim(queue, 1, 60)
    assert again.message_id == claimed.message_id
    assert (again.possible_copies, find(queue, "1").possible_copies) == (1, 1)


def test_every_later_attempt_knows_when_the_first_one_was_claimed(queue: OutboxQueue) -> None:
    """That time is the Date of the mail, so that a possible copy is the same mail."""
    queue.add(mail("1"))
    queue.add(mail("2"))
    [settled], [interrupted] = claim(queue, 1, 60), claim(queue, 1, -1)
    time.sleep(0.01)
    settle(queue, settled, Outcome(State.QUEUED, "deferred", "451"))
    assert reclaim(queue) == 1
    again = {claimed.order_id: claimed for claimed in claim(queue, 2, 60)}
    assert (again["1"].tried_at, again["2"].tried_at) == (settled.claimed_at, interrupted.claimed_at)
    assert again["1"].claimed_at > settled.claimed_at


def test_an_attempt_that_the_relay_had_no_part_in_is_not_the_first(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    [claimed] = claim(queue, 1, 60)
    settle(queue, claimed, RELEASED)
    [again] = claim(queue, 1, 60)
    assert again.tried_at is None


def test_a_row_that_cannot_be_read_fails_alone(queue: OutboxQueue) -> None:
    for number in range(3):
        queue.add(mail(str(number)))
    run(queue, "UPDATE outbox SET accepted_at = 1e300 WHERE order_id = '1'")
    assert [claimed.order_id for claimed in claim(queue, 5, 60)] == ["0", "2"]
    with queue._database.reading() as connection:
        row = connection.exec_driver_sql("SELECT state, reason FROM outbox WHERE order_id = '1'").one()
    assert row.state == State.FAILED
    assert "cannot be read" in row.reason


def test_an_expired_lease_is_claimed_again_and_its_old_holder_can_change_nothing(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    [old] = claim(queue, 1, -1)
    assert reclaim(queue) == 1
    [new] = claim(queue, 1, 60)
    assert settle(queue, old, SENT) is False
    entry = find(queue, "1")
    assert (entry.state, entry.possible_copies) == (State.SENDING, 1)
    assert [event.event for event in entry.history] == ["interrupted"]
    assert settle(queue, new, SENT) is True


def test_a_running_lease_is_not_reclaimed(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    claim(queue, 1, 60)
    assert reclaim(queue) == 0


def test_a_mail_that_this_process_is_sending_is_not_reclaimed(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    [claimed] = claim(queue, 1, -1)
    assert reclaim(queue, tokens=[claimed.lease_token]) == 0


def test_no_lease_expires_while_the_clock_is_not_trusted(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    claim(queue, 1, -1)
    assert reclaim(queue, trusts_clock=False) == 0


def test_an_abandoned_mail_can_be_held_for_a_person(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    claim(queue, 1, -1)
    assert reclaim(queue, holds=True) == 1
    assert find(queue, "1").state is State.HELD
    assert claim(queue, 1, 60) == []


def test_mails_keep_their_remaining_wait_when_the_clock_is_set_back(queue: OutboxQueue) -> None:
    for number in range(2):
        queue.add(mail(str(number)))
    [claimed] = claim(queue, 1, 60)
    settle(queue, claimed, Outcome(State.QUEUED, "deferred", "451", delay=30))
    run(queue, "UPDATE outbox SET due_at = due_at + 7200, changed_at = changed_at + 7200")
    assert claim(queue, 5, 60) == []
    ClockWatch(queue._database, 60).check(0.0)
    assert len(claim(queue, 5, 60)) == 1
    wait = queue.seconds_to_next([COMMON_ACCOUNT])
    assert wait is not None and 25 < wait <= 30


def test_an_empty_outbox_has_no_next_mail(queue: OutboxQueue) -> None:
    assert queue.seconds_to_next([COMMON_ACCOUNT]) is None


def test_a_closed_outbox_refuses_mails(url: str) -> None:
    with pytest.raises(OutboxUnavailable):
        OutboxQueue(Database(url), 10).add(mail("1"))


def test_a_full_outbox_refuses_new_orders_and_accepts_repeated_ones(url: str) -> None:
    with opened(url, max_pending=3) as queue:
        for number in range(3):
            queue.add(mail(str(number)))
        with pytest.raises(OutboxFull, match="OUTBOX_MAX_PENDING"):
            queue.add(mail("3"))
        assert queue.add(mail("0")).is_new is False
        [claimed] = claim(queue, 1, 60)
        settle(queue, claimed, SENT)
        queue._capacity._counted_at = 0.0  # a second passes
        assert queue.add(mail("3")).is_new is True


def test_times_are_those_of_the_database_s_clock(queue: OutboxQueue) -> None:
    before = time.time()
    entry = queue.add(mail("1")).entry
    assert before - 2 < entry.accepted_at.timestamp() < time.time() + 2
    assert before - 2 < ClockWatch(queue._database, 60).read().now < time.time() + 2


def test_texts_are_cleaned_before_they_are_stored(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    [claimed] = claim(queue, 1, 60)
    assert settle(
        queue,
        claimed,
        Outcome(State.FAILED, "failed", "a\x00b\ud800c\r\n"),
        AttemptResult("end_of_data", 250, "x\x00" * 999),
    )
    entry = find(queue, "1")
    assert entry.reason == "a b?c  "
    assert len(entry.history[0].text or "") == MAX_TEXT_LENGTH


def test_mails_of_an_unconfirmed_claim_are_released_at_once(url: str) -> None:
    with opened(url, write_timeout=0.3) as queue:
        queue.add(mail("1"))
        may_end = threading.Event()
        event.listen(queue._database._writing, "commit", lambda _: may_end.wait(40))
        with pytest.raises(UnconfirmedWrite):
            claim(queue, 1, 60)
        may_end.set()
        wait_until(lambda: find(queue, "1").state is State.SENDING)
        assert reclaim(queue) == 0
        entry = find(queue, "1")
        assert (entry.state, entry.possible_copies) == (State.QUEUED, 0)
        assert [each.event for each in entry.history] == ["released"]
        assert len(claim(queue, 1, 60)) == 1


def test_a_claim_that_timed_out_leases_nothing(url: str) -> None:
    with opened(url, write_timeout=0.3) as queue:
        queue.add(mail("1"))
        with locked(url), pytest.raises(OutboxUnavailable):
            claim(queue, 1, 60)
        wait_until(lambda: queue._database._writer._began_at is None)
        assert find(queue, "1").state is State.QUEUED
