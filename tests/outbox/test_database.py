"""Opening the database, and its failures: missing files, a full disk, a lock."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest
from outboxes import claim, find, locked, mail, opened, run, settle
from processes import NOBODY, acting_as, as_root, let_others_read, wait_until
from sqlalchemy import event

from orderconfirm.errors import DatabaseStuck, OutboxUnavailable, UnconfirmedWrite
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retry import SENT


def test_a_stored_mail_is_there_after_a_reopening(url: str) -> None:
    for is_new in (True, False):
        with opened(url) as queue:
            assert queue.add(mail("1")).is_new is is_new


def test_a_new_file_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/outbox.db")
    database.open()
    database.close()
    assert (tmp_path / "outbox.db").stat().st_mode & 0o777 == 0o600


def test_invalid_utf_8_in_a_row_does_not_stop_the_claim(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue:
        queue.add(mail("1"))
        run(queue, "UPDATE outbox SET payload = CAST(x'7bff' AS TEXT)")
        assert len(claim(queue, 5, 60)) == 1


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutboxUnavailable, match="DATABASE_URL"):
        Database(f"sqlite:///{tmp_path}/file/outbox.db").open()


@as_root
@pytest.mark.parametrize("name", ["outbox.db", "outbox.db-wal", "outbox.db.turnstile", "outbox.db.alive"])
def test_a_file_that_a_command_of_root_has_left_is_named_with_the_remedy(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.touch(mode=0o600)
    os.chown(tmp_path, NOBODY, NOBODY)
    let_others_read(tmp_path)
    sentence = f"{file} belongs to root and cannot be written by nobody: as root, run chown nobody {file}"
    with acting_as(NOBODY), pytest.raises(OutboxUnavailable, match=f"^{re.escape(sentence)}$"):
        Database(f"sqlite:///{tmp_path}/outbox.db").open()


def test_an_order_is_refused_while_the_disk_is_full(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db", 100_000) as queue:
        run(queue, "PRAGMA max_page_count=30")
        count = 0
        with pytest.raises(OutboxUnavailable, match="full"):
            for count in range(10_000):
                queue.add(mail(str(count), "f" * 64))
        run(queue, "PRAGMA max_page_count=100000")
        assert queue.add(mail(str(count))).is_new
        assert len(claim(queue, 10_000, 60)) == count + 1


def test_orders_are_refused_after_the_database_file_was_deleted(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue:
        queue.add(mail("1"))
        (tmp_path / "outbox.db").unlink()
        with pytest.raises(OutboxUnavailable, match="deleted or replaced"):
            queue.add(mail("2"))
        assert len(claim(queue, 5, 60)) == 1


@pytest.mark.parametrize("companion", ["outbox.db-wal", "outbox.db-shm"])
def test_orders_are_refused_after_a_log_file_was_deleted(tmp_path: Path, companion: str) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue:
        queue.add(mail("1"))
        (tmp_path / companion).unlink()
        with pytest.raises(OutboxUnavailable, match=f"{companion} was deleted or replaced"):
            queue.add(mail("2"))


def test_an_order_is_refused_if_the_write_ahead_log_is_deleted_while_it_waits(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue, ThreadPoolExecutor(1) as threads:
        with locked(f"sqlite:///{tmp_path}/outbox.db"):
            future = threads.submit(queue.add, mail("1"))
            wait_until(lambda: queue._database._writer._began_at)
            (tmp_path / "outbox.db-wal").unlink()
        assert type(future.exception(10)) is OutboxUnavailable


def test_an_order_is_unconfirmed_if_the_write_ahead_log_is_deleted_during_its_commit(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue:
        event.listen(queue._database._writing, "commit", lambda _: (tmp_path / "outbox.db-wal").unlink())
        with pytest.raises(UnconfirmedWrite, match="outbox.db-wal was deleted or replaced"):
            queue.add(mail("1"))


def test_a_deleted_write_ahead_log_is_saved_to_the_database_file(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue:
        queue.add(mail("1"))
        (tmp_path / "outbox.db-wal").unlink()
        assert queue._database.save_lost_log() is True
        assert queue._database.save_lost_log() is False
        shutil.copy(tmp_path / "outbox.db", tmp_path / "after a kill.db")
    with closing(sqlite3.connect(tmp_path / "after a kill.db")) as connection:
        assert connection.execute("SELECT order_id FROM outbox").fetchall() == [("1",)]


def test_orders_refused_by_a_locked_database_are_not_stored(url: str) -> None:
    with opened(url, write_timeout=0.3) as queue, ThreadPoolExecutor(16) as threads:
        with locked(url):
            futures = [threads.submit(queue.add, mail(str(number))) for number in range(16)]
            assert {type(each.exception(10)) for each in futures} == {DatabaseStuck}
        wait_until(lambda: queue._database._writer._began_at is None)
        assert claim(queue, 100, 60) == []


def test_a_database_file_can_be_read_again_after_it_was_moved_back(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue:
        queue.add(mail("1"))
        shutil.move(tmp_path / "outbox.db", tmp_path / "away")
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: try_to_find(queue), range(32)))
        assert not (tmp_path / "outbox.db").exists()
        shutil.move(tmp_path / "away", tmp_path / "outbox.db")
        with ThreadPoolExecutor(8) as threads:
            assert set(threads.map(lambda _: find(queue, "1").order_id, range(32))) == {"1"}


def try_to_find(queue: OutboxQueue) -> None:
    with suppress(OutboxUnavailable):
        find(queue, "1")


def test_without_its_write_ahead_log_nothing_is_written(tmp_path: Path) -> None:
    """A cancellation or an outcome that only the deleted log holds would be lost as well."""
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue:
        queue.add(mail("1"))
        [claimed] = claim(queue, 1, 60)
        (tmp_path / "outbox.db-wal").unlink()
        with pytest.raises(OutboxUnavailable, match="outbox.db-wal was deleted"):
            settle(queue, claimed, SENT)


def test_a_missing_database_is_not_replaced_by_a_new_one(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/outbox.db")
    with pytest.raises(OutboxUnavailable, match="is missing: put it back"):
        database.open(must_exist=True)
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_holds_the_turnstile_without_the_lock_stops_nobody(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue, (tmp_path / "outbox.db.turnstile").open("wb") as turnstile:
        fcntl.flock(turnstile, fcntl.LOCK_EX)
        assert queue.add(mail("1")).is_new
