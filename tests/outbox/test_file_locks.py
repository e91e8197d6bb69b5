"""Leases of dead and of living processes on one SQLite file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from outboxes import claim, find, mail, opened, reclaim, settle
from processes import ROOT

from orderconfirm.models import State
from orderconfirm.outbox.file_locks import FileLocks
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retry import SENT


def test_mails_of_a_dead_process_are_reclaimed_at_once_but_not_those_of_a_living_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/outbox.db"
    with opened(url) as living, opened(url) as next_start:
        with opened(url) as dead:
            dead.add(mail("1"))
            living.add(mail("2"))
            [first], [second] = claim(dead, 1, 60), claim(living, 1, -1)
            owner = dead._database.process_locks.owner
        (tmp_path / "outbox.db.alive" / owner).touch()  # as SIGKILL leaves it: existing and not locked
        assert reclaim(next_start) == 1
        assert [claimed.order_id for claimed in claim(next_start, 5, 60)] == [first.order_id]
        assert settle(living, second, SENT)


def test_a_symbolic_link_to_the_file_is_the_same_outbox(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "outbox.db")
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue, opened(f"sqlite:///{tmp_path}/link.db") as other:
        queue.add(mail("1"))
        claim(queue, 1, -1)
        assert reclaim(other) == 0


def test_a_deleted_lock_file_is_created_again(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue, opened(f"sqlite:///{tmp_path}/outbox.db") as other:
        shutil.rmtree(tmp_path / "outbox.db.alive")
        queue.add(mail("1"))
        claim(queue, 1, -1)
        assert reclaim(queue, tokens=["none"]) == 1
        claim(queue, 1, -1)
        assert reclaim(other) == 0


def test_lock_files_of_dead_processes_are_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "outbox.db.alive"
    folder.mkdir()
    (folder / "0123456789abcdef").touch()
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue:
        reclaim(queue)
        assert [path.name for path in folder.iterdir()] == [queue._database.process_locks.owner]


def test_a_living_process_without_its_lock_file_does_not_count_as_dead(tmp_path: Path) -> None:
    """The folder was deleted, and another process checks it before this one has created its file again."""
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue, opened(f"sqlite:///{tmp_path}/outbox.db") as other:
        queue.add(mail("1"))
        [claimed] = claim(queue, 1, 60)
        shutil.rmtree(tmp_path / "outbox.db.alive")
        assert reclaim(other) == 0
        assert settle(queue, claimed, SENT)


def test_a_process_whose_lock_file_was_replaced_locks_the_new_one(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as queue, opened(f"sqlite:///{tmp_path}/outbox.db") as other:
        locks = tmp_path / "outbox.db.alive"
        shutil.copytree(locks, tmp_path / "copy")
        shutil.rmtree(locks)
        (tmp_path / "copy").rename(locks)
        queue.add(mail("1"))
        claim(queue, 1, -1)
        reclaim(queue, tokens=["none"], trusts_clock=False)
        assert reclaim(other) == 0


#: Leases four mails, begins to send three of them, and settles one of these.
SENDING_PROCESS = """
import sys, time
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.leases import FinishedAttempt
from orderconfirm.outbox.retry import SENT

database = Database(sys.argv[1])
database.open()
database.process_locks.claim(lambda: None)
queue, locks = OutboxQueue(database, 1000), database.process_locks
mails = sorted(queue.exchange([], {"": 4}, 60).claimed, key=lambda mail: mail.order_id)
for mail in mails[:3]:
    locks.note_begun(mail.id)
queue.exchange([FinishedAttempt.of(mails[2], SENT)], {}, 0)
locks.note_settled(mails[2].id)
print(locks.owner, flush=True)
time.sleep(60)
"""


@contextmanager
def after_a_kill(folder: Path) -> Iterator[tuple[OutboxQueue, Path]]:
    """An outbox with mails 0 to 3 whose process was killed while it was sending 0 and 1, and that process's file."""
    url = f"sqlite:///{folder}/outbox.db"
    with opened(url) as queue:
        for number in range(4):
            queue.add(mail(str(number)))
        process = subprocess.Popen([sys.executable, "-c", SENDING_PROCESS, url], cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        owner = process.stdout.readline().decode().strip()
        process.kill()
        process.communicate()
        yield queue, folder / "outbox.db.alive" / owner


def states(queue: OutboxQueue) -> list[tuple[State, int, int]]:
    entries = [find(queue, str(number)) for number in range(4)]
    return [(entry.state, entry.attempts, entry.possible_copies) for entry in entries]


BEGUN, UNBEGUN, DONE = (State.QUEUED, 1, 1), (State.QUEUED, 0, 0), (State.SENT, 1, 0)


def test_only_mails_that_a_killed_process_had_begun_count_as_possible_copies(tmp_path: Path) -> None:
    with after_a_kill(tmp_path) as (queue, _):
        assert reclaim(queue) == 2
        assert states(queue) == [BEGUN, BEGUN, DONE, UNBEGUN]
        assert [entry.event for entry in find(queue, "3").history] == ["released"]
        assert len(claim(queue, 5, 60)) == 3


def test_only_mails_that_a_killed_process_had_begun_are_held(tmp_path: Path) -> None:
    with after_a_kill(tmp_path) as (queue, _):
        assert reclaim(queue, holds=True) == 2
        assert states(queue) == [(State.HELD, 1, 1), (State.HELD, 1, 1), DONE, UNBEGUN]


def of_another_start(content: bytes) -> bytes:
    return b"0" * 36 + content[36:]


def without_places(content: bytes) -> bytes:
    return content[:37]


def cut_in_a_place(content: bytes) -> bytes:
    return content[:-3]


def empty(content: bytes) -> bytes:
    return b""


def overwritten(content: bytes) -> bytes:
    return b"\xff" * len(content)


@pytest.mark.parametrize("damage", [of_another_start, without_places, cut_in_a_place, empty, overwritten])
def test_with_an_invalid_file_all_mails_count_as_begun(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    with after_a_kill(tmp_path) as (queue, file):
        file.write_bytes(damage(file.read_bytes()))
        assert reclaim(queue) == 3
        assert states(queue) == [BEGUN, BEGUN, DONE, BEGUN]


def test_the_file_of_a_killed_process_is_deleted_once_it_holds_no_lease(tmp_path: Path) -> None:
    with after_a_kill(tmp_path) as (queue, file):
        reclaim(queue)
        assert file.exists()
        reclaim(queue)
        assert not file.exists()


@pytest.fixture
def locks(tmp_path: Path) -> Iterator[FileLocks]:
    locks = FileLocks(tmp_path / "alive")
    locks.claim(lambda: None)
    yield locks
    locks.release()


def test_begun_mails_are_noted_until_they_are_settled(locks: FileLocks) -> None:
    for mail_id in (1, 2**40, 3):
        locks.note_begun(mail_id)
    locks.note_settled(3)
    locks.note_settled(4)  # was never begun
    assert locks.begun_by(locks.owner) == {1, 2**40}


def test_a_place_in_the_file_is_used_again(locks: FileLocks, tmp_path: Path) -> None:
    size = (tmp_path / "alive" / locks.owner).stat().st_size
    for mail_id in range(1, 10_000):
        locks.note_begun(mail_id)
        locks.note_settled(mail_id)
    locks.note_begun(10_000)
    assert locks.begun_by(locks.owner) == {10_000}
    assert (tmp_path / "alive" / locks.owner).stat().st_size == size


def test_a_file_that_was_created_again_has_the_mails_that_are_begun(locks: FileLocks, tmp_path: Path) -> None:
    locks.note_begun(1)
    locks.note_begun(2)
    shutil.rmtree(tmp_path / "alive")
    assert locks.begun_by(locks.owner) is None
    (tmp_path / "alive").mkdir()
    locks._lock()
    locks.note_settled(1)
    locks.note_begun(3)
    assert locks.begun_by(locks.owner) == {2, 3}


def test_more_begun_mails_than_the_file_has_places_for_all_count(locks: FileLocks) -> None:
    for mail_id in range(1, 5001):
        locks.note_begun(mail_id)
    assert locks.begun_by(locks.owner) is None
    for mail_id in range(1, 5001):
        locks.note_settled(mail_id)
