"""Leases of dead and of living processes on one SQLite file."""

from __future__ import annotations

import shutil
from pathlib import Path

from outboxes import claim, mail, opened, reclaim, settle

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
