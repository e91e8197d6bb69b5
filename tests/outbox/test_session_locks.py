"""Leases of dead, living and paused processes on one PostgreSQL server, and notifications."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest
from outboxes import claim, find, mail, opened, reclaim, run, settle
from processes import ROOT, wait_until
from sqlalchemy import text

from orderconfirm.models import State
from orderconfirm.outbox import session_locks
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retry import SENT
from orderconfirm.outbox.session_locks import NOTIFY_DUE, SessionLocks

#: Leases a mail, tells who it is, and goes on to live.
SENDING_PROCESS = """
import sys, time
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.queue import OutboxQueue

database = Database(sys.argv[1])
database.open()
database.process_locks.claim(lambda: None)
[mail] = OutboxQueue(database, 1000).exchange([], {"": 1}, float(sys.argv[2])).claimed
print(database.process_locks.owner, flush=True)
time.sleep(60)
"""


@pytest.fixture
def short_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tests wait a second instead of nine."""
    monkeypatch.setattr(session_locks, "MIN_ABSENT_SECONDS", 1.0)


@contextmanager
def other_process(url: str, lease_seconds: float = 60) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has leased the only due mail."""
    command = [sys.executable, "-c", SENDING_PROCESS, url, str(lease_seconds)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        yield process
        process.kill()


@pytest.fixture
def queue(postgres_outbox: str) -> Iterator[OutboxQueue]:
    with opened(postgres_outbox) as queue:
        queue.add(mail("1"))
        yield queue


def locks_of(queue: OutboxQueue) -> SessionLocks:
    locks = queue._database.process_locks
    assert isinstance(locks, SessionLocks)
    return locks


def test_a_killed_process_loses_its_mails_before_its_lease_ends(
    queue: OutboxQueue, postgres_outbox: str, short_absence: None
) -> None:
    with other_process(postgres_outbox) as process:
        assert reclaim(queue) == 0
        process.kill()
        process.wait()
        assert wait_until(lambda: reclaim(queue)) == 1
    entry = find(queue, "1")
    assert (entry.state, entry.possible_copies) == (State.QUEUED, 1)


def test_a_killed_process_is_not_judged_before_it_has_been_absent_for_a_while(
    queue: OutboxQueue, postgres_outbox: str
) -> None:
    with other_process(postgres_outbox) as process:
        process.kill()
        process.wait()
        owner = run_sql(queue, "SELECT lease_owner FROM outbox")
        wait_until(lambda: owner not in held(queue))
        assert reclaim(queue) == 0


def test_a_paused_process_keeps_its_mails_even_after_its_lease(
    queue: OutboxQueue, postgres_outbox: str, short_absence: None
) -> None:
    with other_process(postgres_outbox, lease_seconds=-1) as process:
        process.send_signal(signal.SIGSTOP)
        for _ in range(3):
            assert reclaim(queue) == 0
        process.send_signal(signal.SIGCONT)


def test_a_process_whose_connection_was_cut_takes_its_lock_again_and_keeps_its_mails(
    queue: OutboxQueue, postgres_outbox: str, short_absence: None
) -> None:
    with opened(postgres_outbox) as other:
        [claimed] = claim(other, 1, 60)
        locks = locks_of(other)
        cut(queue, locks.owner)
        wait_until(lambda: locks.owner not in held(queue))
        assert reclaim(queue) == 0
        assert locks.is_visible
        wait_until(lambda: locks.owner in held(queue))
        assert reclaim(queue) == 0
        assert settle(other, claimed, SENT)


def test_a_process_that_cannot_take_its_lock_again_becomes_invisible(
    queue: OutboxQueue, postgres_outbox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_locks, "MAX_INVISIBLE_SECONDS", 0.3)
    locks = locks_of(queue)
    key = session_locks._signed(int(locks.owner, 16))
    with psycopg.connect(postgres_outbox, autocommit=True) as thief:
        thief.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        thief.execute("SELECT pg_advisory_lock(%s)", (key,))
        wait_until(lambda: not locks.is_visible)
    wait_until(lambda: locks.is_visible)


def test_leases_from_before_a_start_of_the_server_are_left_to_their_end(
    queue: OutboxQueue, postgres_outbox: str, short_absence: None
) -> None:
    with other_process(postgres_outbox) as process:
        process.kill()
        process.wait()
    run(queue, "UPDATE outbox SET changed_at = 1000")
    owner = run_sql(queue, "SELECT lease_owner FROM outbox")
    wait_until(lambda: owner not in held(queue))
    with queue._database.reading() as connection:
        assert locks_of(queue).verdict(connection, {owner: 1000.0}) == ([], [])
    assert reclaim(queue) == 0


def test_a_notification_wakes_all_that_hold_a_lock(postgres_outbox: str) -> None:
    woken = [threading.Event(), threading.Event()]
    with ExitStack() as stack:
        queues = [stack.enter_context(opened(postgres_outbox)) for _ in woken]
        for queue, event in zip(queues, woken, strict=True):
            locks_of(queue).release()
            locks_of(queue).claim(event.set)
            event.clear()
        run(queues[0], NOTIFY_DUE)
        assert all(event.wait(40) for event in woken)


def test_new_mails_of_a_service_without_a_sender_notify_the_others(postgres_outbox: str) -> None:
    woken = threading.Event()
    with opened(postgres_outbox) as sending, opened(postgres_outbox) as receiving:
        locks_of(sending).release()
        locks_of(sending).claim(woken.set)
        woken.clear()
        OutboxQueue(receiving._database, 1000).add(mail("1"))
        assert not woken.wait(0.3)
        OutboxQueue(receiving._database, 1000, wakes_others=True).add(mail("2"))
        assert woken.wait(40)


def held(queue: OutboxQueue) -> set[str]:
    """Return the names of the processes that hold a lock."""
    with queue._database.reading() as connection:
        return {f"{high:08x}{low:08x}" for high, low in connection.execute(session_locks._HELD)}


def cut(queue: OutboxQueue, owner: str) -> None:
    """Cut the connection that holds the lock of `owner`."""
    with queue._database.reading() as connection:
        key = int(owner, 16)
        statement = (
            "SELECT pg_terminate_backend(pid) FROM pg_locks"
            f" WHERE locktype = 'advisory' AND classid = {key >> 32} AND objid = {key & 0xFFFFFFFF}"
        )
        assert connection.execute(text(statement)).scalars().all() == [True]


def run_sql(queue: OutboxQueue, sql: str) -> str:
    with queue._database.reading() as connection:
        return str(connection.exec_driver_sql(sql).scalar_one())
