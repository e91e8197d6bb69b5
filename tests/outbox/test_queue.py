"""The outbox on a real SQLite file and a real PostgreSQL: one suite for both."""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from outboxes import find, locked, mail, opened, reclaim, run
from processes import wait_until
from sqlalchemy import event

from orderconfirm.errors import OutboxFull, OutboxUnavailable, UnconfirmedWrite
from orderconfirm.models import State
from orderconfirm.outbox.clock import ClockWatch
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.queue import MAX_TEXT_LENGTH, AttemptResult, OutboxQueue
from orderconfirm.outbox.retry import SENT, Outcome


def test_an_order_is_stored_once_and_the_first_one_stays(queue: OutboxQueue) -> None:
    first = queue.add(mail("1", "first"))
    second = queue.add(mail("1", "second"))
    assert (first.is_new, second.is_new) == (True, False)
    assert second.fingerprint == "first"
    assert second.entry.accepted_at == first.entry.accepted_at


def test_the_same_order_id_in_many_threads_becomes_one_row(queue: OutboxQueue) -> None:
    with ThreadPoolExecutor(16) as threads:
        receipts = list(threads.map(lambda _: queue.add(mail("1")), range(64)))
    assert [result.is_new for result in receipts].count(True) == 1


def test_what_was_stored_is_there_after_a_reopening(url: str) -> None:
    for is_new in (True, False):
        with opened(url) as queue:
            assert queue.add(mail("1")).is_new is is_new


def test_a_claim_takes_due_mails_only_once_and_no_more_than_asked(queue: OutboxQueue) -> None:
    for number in range(5):
        queue.add(mail(str(number)))
    first, second, third = queue.claim(3, 60), queue.claim(3, 60), queue.claim(3, 60)
    assert [len(claim) for claim in (first, second, third)] == [3, 2, 0]
    assert {claimed.order_id for claimed in first + second} == set("01234")


def test_two_stores_on_one_database_never_claim_the_same_mail(url: str, queue: OutboxQueue) -> None:
    for number in range(60):
        queue.add(mail(str(number)))
    with opened(url) as other, ThreadPoolExecutor(4) as threads:
        claims = list(threads.map(lambda number: (queue, other)[number % 2].claim(5, 60), range(16)))
    ids = [claimed.id for claim in claims for claimed in claim]
    assert sorted(ids) == sorted(set(ids))
    assert len(ids) == 60


def test_a_settled_mail_tells_its_story_without_the_recipient(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    [claimed] = queue.claim(1, 60)
    assert queue.settle(claimed, SENT, AttemptResult("end_of_data", 250, "2.0.0 <a@example.com> Ok", 0.5))
    entry = find(queue, "1")
    assert (entry.state, entry.attempts) == (State.SENT, 1)
    assert [(e.event, e.code, e.text, e.seconds) for e in entry.history] == [
        ("sent", 250, "2.0.0 <…@example.com> Ok", 0.5)
    ]
    assert queue.claim(1, 60) == []


def test_a_deferred_mail_is_due_again_after_its_delay(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    [claimed] = queue.claim(1, 60)
    queue.settle(claimed, Outcome(State.QUEUED, "deferred", "451", delay=30))
    assert queue.claim(1, 60) == []
    wait = queue.seconds_to_next()
    assert wait is not None and 25 < wait <= 30


def test_an_unknown_outcome_is_counted_as_a_possible_copy(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    [claimed] = queue.claim(1, 60)
    queue.settle(claimed, Outcome(State.UNKNOWN, "unknown", "cut off", may_be_copy=True))
    [again] = queue.claim(1, 60)
    assert again.message_id == claimed.message_id
    assert (again.possible_copies, find(queue, "1").possible_copies) == (1, 1)


def test_a_row_that_cannot_be_read_fails_alone(queue: OutboxQueue) -> None:
    for number in range(3):
        queue.add(mail(str(number)))
    run(queue, "UPDATE outbox SET accepted_at = 1e300 WHERE order_id = '1'")
    assert [claimed.order_id for claimed in queue.claim(5, 60)] == ["0", "2"]
    with queue._database.reading() as connection:
        row = connection.exec_driver_sql("SELECT state, reason FROM outbox WHERE order_id = '1'").one()
    assert row.state == State.FAILED
    assert "cannot be read" in row.reason


def test_bytes_that_are_no_text_do_not_stop_the_claim(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue:
        queue.add(mail("1"))
        run(queue, "UPDATE outbox SET payload = CAST(x'7bff' AS TEXT)")
        assert len(queue.claim(5, 60)) == 1


def test_a_lease_that_ran_out_is_claimed_again_and_its_old_holder_can_change_nothing(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    [old] = queue.claim(1, -1)
    assert reclaim(queue) == 1
    [new] = queue.claim(1, 60)
    assert queue.settle(old, SENT) is False
    entry = find(queue, "1")
    assert (entry.state, entry.possible_copies) == (State.SENDING, 1)
    assert [event.event for event in entry.history] == ["interrupted"]
    assert queue.settle(new, SENT) is True


def test_a_lease_that_still_runs_is_left_alone(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    queue.claim(1, 60)
    assert reclaim(queue) == 0


def test_what_is_still_under_way_here_is_left_alone_whatever_the_clock_says(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    [claimed] = queue.claim(1, -1)
    assert reclaim(queue, tokens=[claimed.lease_token]) == 0


def test_after_a_jump_of_the_clock_no_lease_has_run_out(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    queue.claim(1, -1)
    assert reclaim(queue, trusts_clock=False) == 0


def test_an_abandoned_mail_can_be_held_for_a_person(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    queue.claim(1, -1)
    assert reclaim(queue, holds=True) == 1
    assert find(queue, "1").state is State.HELD
    assert queue.claim(1, 60) == []


def test_a_clock_that_goes_back_does_not_make_mails_wait_for_the_old_time(queue: OutboxQueue) -> None:
    for number in range(2):
        queue.add(mail(str(number)))
    [claimed] = queue.claim(1, 60)
    queue.settle(claimed, Outcome(State.QUEUED, "deferred", "451", delay=30))
    run(queue, "UPDATE outbox SET due_at = due_at + 7200, changed_at = changed_at + 7200")
    assert queue.claim(5, 60) == []
    ClockWatch(queue._database, 60).check(0.0)
    assert len(queue.claim(5, 60)) == 1
    wait = queue.seconds_to_next()
    assert wait is not None and 25 < wait <= 30


def test_nothing_waits_in_an_empty_outbox(queue: OutboxQueue) -> None:
    assert queue.seconds_to_next() is None


def test_a_closed_store_takes_nothing(url: str) -> None:
    with pytest.raises(OutboxUnavailable):
        OutboxQueue(Database(url), 10).add(mail("1"))


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutboxUnavailable, match="DATABASE_URL"):
        Database(f"sqlite:///{tmp_path}/file/outbox.db").open()


def test_a_full_disk_refuses_the_order_and_takes_it_when_there_is_room(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db", 100_000) as queue:
        run(queue, "PRAGMA max_page_count=30")
        taken = 0
        with pytest.raises(OutboxUnavailable, match="full"):
            for taken in range(10_000):
                queue.add(mail(str(taken), "f" * 64))
        run(queue, "PRAGMA max_page_count=100000")
        assert queue.add(mail(str(taken))).is_new
        assert len(queue.claim(10_000, 60)) == taken + 1


def test_a_full_outbox_refuses_new_orders_and_knows_the_old_ones(url: str) -> None:
    with opened(url, max_pending=3) as queue:
        for number in range(3):
            queue.add(mail(str(number)))
        with pytest.raises(OutboxFull, match="OUTBOX_MAX_PENDING"):
            queue.add(mail("3"))
        assert queue.add(mail("0")).is_new is False
        [claimed] = queue.claim(1, 60)
        queue.settle(claimed, SENT)
        queue._capacity._counted_at = 0.0  # a second passes
        assert queue.add(mail("3")).is_new is True


def test_a_deleted_database_file_takes_no_more_orders(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue:
        queue.add(mail("1"))
        (tmp_path / "outbox.db").unlink()
        with pytest.raises(OutboxUnavailable, match="deleted or replaced"):
            queue.add(mail("2"))
        assert len(queue.claim(5, 60)) == 1


def test_the_clock_is_the_database_s_and_right(queue: OutboxQueue) -> None:
    before = time.time()
    entry = queue.add(mail("1")).entry
    assert before - 2 < entry.accepted_at.timestamp() < time.time() + 2
    assert before - 2 < ClockWatch(queue._database, 60).read().now < time.time() + 2


def test_the_mails_of_a_dead_process_are_back_at_once_and_those_of_a_living_one_are_not(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/outbox.db"
    with opened(url) as living, opened(url) as next_start:
        with opened(url) as dead:
            dead.add(mail("1"))
            living.add(mail("2"))
            [first], [second] = dead.claim(1, 60), living.claim(1, -1)
            owner = dead._database.process_locks.owner
        (tmp_path / "outbox.db.alive" / owner).touch()  # as kill -9 leaves it: there, and locked by nobody
        assert reclaim(next_start) == 1
        assert [claimed.order_id for claimed in next_start.claim(5, 60)] == [first.order_id]
        assert living.settle(second, SENT)


def test_tables_of_another_version_are_refused_by_name(url: str) -> None:
    with opened(url) as queue:
        run(queue, "ALTER TABLE outbox DROP COLUMN reason")
    with pytest.raises(OutboxUnavailable, match="outbox.reason"):
        Database(url).open()


def test_words_that_no_database_takes_are_cleaned(queue: OutboxQueue) -> None:
    queue.add(mail("1"))
    [claimed] = queue.claim(1, 60)
    assert queue.settle(
        claimed, Outcome(State.FAILED, "failed", "a\x00b\ud800c\r\n"), AttemptResult("end_of_data", 250, "x\x00" * 999)
    )
    entry = find(queue, "1")
    assert entry.reason == "a b?c  "
    assert len(entry.history[0].text or "") == MAX_TEXT_LENGTH


def test_two_paths_to_one_file_are_one_outbox(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "outbox.db")
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue, opened(f"sqlite:///{tmp_path}/link.db") as other:
        queue.add(mail("1"))
        queue.claim(1, -1)
        assert reclaim(other) == 0


def test_a_process_whose_lock_file_was_deleted_makes_it_anew(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue, opened(f"sqlite:///{tmp_path}/outbox.db") as other:
        shutil.rmtree(tmp_path / "outbox.db.alive")
        queue.add(mail("1"))
        queue.claim(1, -1)
        assert reclaim(queue, tokens=["none"]) == 1
        queue.claim(1, -1)
        assert reclaim(other) == 0


def test_what_killed_processes_left_is_cleared_away(tmp_path: Path) -> None:
    folder = tmp_path / "outbox.db.alive"
    folder.mkdir()
    (folder / "0123456789abcdef").touch()
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue:
        reclaim(queue)
        assert [path.name for path in folder.iterdir()] == [queue._database.process_locks.owner]


def test_without_its_lock_file_a_living_process_does_not_count_as_dead(tmp_path: Path) -> None:
    """Somebody deleted the folder, and another process looks before this one has made its file anew."""
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue, opened(f"sqlite:///{tmp_path}/outbox.db") as other:
        queue.add(mail("1"))
        [claimed] = queue.claim(1, 60)
        shutil.rmtree(tmp_path / "outbox.db.alive")
        assert reclaim(other) == 0
        assert queue.settle(claimed, SENT)


@pytest.mark.parametrize("companion", ["outbox.db-wal", "outbox.db-shm"])
def test_a_deleted_companion_of_the_database_takes_no_more_orders(tmp_path: Path, companion: str) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue:
        queue.add(mail("1"))
        (tmp_path / companion).unlink()
        with pytest.raises(OutboxUnavailable, match=f"{companion} was deleted or replaced"):
            queue.add(mail("2"))


def test_a_write_ahead_log_deleted_during_a_commit_leaves_it_unconfirmed(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue, ThreadPoolExecutor(1) as threads:
        with locked(f"sqlite:///{tmp_path}/outbox.db"):
            late = threads.submit(queue.add, mail("1"))
            wait_until(lambda: queue._database._writer._began_at)
            (tmp_path / "outbox.db-wal").unlink()
        assert isinstance(late.exception(10), UnconfirmedWrite)


def test_what_only_a_deleted_write_ahead_log_holds_is_brought_into_the_file(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue:
        queue.add(mail("1"))
        (tmp_path / "outbox.db-wal").unlink()
        assert queue._database.save_lost_log() is True
        assert queue._database.save_lost_log() is False
        shutil.copy(tmp_path / "outbox.db", tmp_path / "after a kill.db")
    with closing(sqlite3.connect(tmp_path / "after a kill.db")) as connection:
        assert connection.execute("SELECT order_id FROM outbox").fetchall() == [("1",)]


def test_the_mails_of_an_unconfirmed_claim_come_back_at_once_and_uncounted(url: str) -> None:
    with opened(url, write_timeout=0.3) as queue:
        queue.add(mail("1"))
        may_end = threading.Event()
        event.listen(queue._database._writing, "commit", lambda _: may_end.wait(10))
        with pytest.raises(UnconfirmedWrite):
            queue.claim(1, 60)
        may_end.set()
        wait_until(lambda: find(queue, "1").state is State.SENDING)
        assert reclaim(queue) == 0
        entry = find(queue, "1")
        assert (entry.state, entry.possible_copies) == (State.QUEUED, 0)
        assert [each.event for each in entry.history] == ["released"]
        assert len(queue.claim(1, 60)) == 1


def test_a_claim_that_was_given_up_leases_nothing(url: str) -> None:
    with opened(url, write_timeout=0.3) as queue:
        queue.add(mail("1"))
        with locked(url), pytest.raises(OutboxUnavailable):
            queue.claim(1, 60)
        wait_until(lambda: queue._database._writer._began_at is None)
        assert find(queue, "1").state is State.QUEUED


def test_orders_refused_because_the_database_was_locked_are_not_stored(url: str) -> None:
    with opened(url, write_timeout=0.3) as queue, ThreadPoolExecutor(16) as threads:
        with locked(url):
            late = [threads.submit(queue.add, mail(str(number))) for number in range(16)]
            assert {type(each.exception(10)) for each in late} == {OutboxUnavailable}
        wait_until(lambda: queue._database._writer._began_at is None)
        assert queue.claim(100, 60) == []


def test_a_file_that_was_away_is_read_again_when_it_is_back(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue:
        queue.add(mail("1"))
        shutil.move(tmp_path / "outbox.db", tmp_path / "away")
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: raises_unavailable(queue), range(32)))
        assert not (tmp_path / "outbox.db").exists()
        shutil.move(tmp_path / "away", tmp_path / "outbox.db")
        with ThreadPoolExecutor(8) as threads:
            assert set(threads.map(lambda _: find(queue, "1").order_id, range(32))) == {"1"}


def raises_unavailable(queue: OutboxQueue) -> None:
    try:
        find(queue, "1")
    except OutboxUnavailable:
        pass


def test_without_its_write_ahead_log_nothing_is_written(tmp_path: Path) -> None:
    """A cancellation or an outcome that only the deleted log holds would be lost as well."""
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue:
        queue.add(mail("1"))
        [claimed] = queue.claim(1, 60)
        (tmp_path / "outbox.db-wal").unlink()
        with pytest.raises(OutboxUnavailable, match="write-ahead log was deleted"):
            queue.settle(claimed, SENT)


def test_a_missing_database_is_not_replaced_by_a_new_one(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/outbox.db")
    with pytest.raises(OutboxUnavailable, match="is missing: put it back"):
        database.open(must_exist=True)
    assert list(tmp_path.iterdir()) == []


def test_a_process_whose_lock_file_was_replaced_locks_the_new_one(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue, opened(f"sqlite:///{tmp_path}/outbox.db") as other:
        locks = tmp_path / "outbox.db.alive"
        shutil.copytree(locks, tmp_path / "copy")
        shutil.rmtree(locks)
        (tmp_path / "copy").rename(locks)
        queue.add(mail("1"))
        queue.claim(1, -1)
        reclaim(queue, tokens=["none"], trusts_clock=False)
        assert reclaim(other) == 0


def test_a_process_that_holds_the_turnstile_without_the_lock_stops_nobody(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue, (tmp_path / "outbox.db.turnstile").open("wb") as turnstile:
        fcntl.flock(turnstile, fcntl.LOCK_EX)
        assert queue.add(mail("1")).is_new
