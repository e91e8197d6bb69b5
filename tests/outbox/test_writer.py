"""The writing thread on a real SQLite file and a real PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from outboxes import locked, writer_of_notes
from processes import ROOT, wait_until
from sqlalchemy import Connection, event

from orderconfirm.errors import DatabaseStuck, OutboxUnavailable, UnconfirmedWrite
from orderconfirm.outbox.engines import writing_engine
from orderconfirm.outbox.writer import Writer, run_jobs

#: Seconds that a caller waits for its write in these tests.
TIMEOUT = 1.0


@pytest.fixture
def writer(url: str) -> Iterator[Writer]:
    with writer_of_notes(url, TIMEOUT) as writer:
        yield writer


def do(writer: Writer, job: Callable[[Connection], Any]) -> Any:
    [result] = writer.do_all([(run_jobs, job)])
    if isinstance(result, Exception):
        raise result
    return result


def write_note(writer: Writer, word: str) -> None:
    do(writer, lambda connection: connection.exec_driver_sql(f"INSERT INTO notes VALUES ('{word}')").close())


def notes(writer: Writer) -> set[str]:
    return set(do(writer, lambda connection: connection.exec_driver_sql("SELECT word FROM notes").scalars().all()))


def test_a_write_that_timed_out_is_never_written(url: str, writer: Writer) -> None:
    with ThreadPoolExecutor(8) as threads:
        with locked(url, "notes"):
            futures = [threads.submit(write_note, writer, f"late {number}") for number in range(8)]
            assert {type(each.exception(10)) for each in futures} == {DatabaseStuck}
        wait_until(lambda: writer._began_at is None)
        write_note(writer, "after")
    assert notes(writer) == {"after"}


class SlowJob:
    """A job that writes a note and then runs until `may_end` is set."""

    def __init__(self, word: str) -> None:
        self._word = word
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self, connection: Connection) -> None:
        connection.exec_driver_sql(f"INSERT INTO notes VALUES ('{self._word}')").close()
        self.has_begun.set()
        assert self.may_end.wait(40)


def test_a_job_that_times_out_while_it_runs_is_rolled_back(writer: Writer) -> None:
    job = SlowJob("slow")
    with pytest.raises(OutboxUnavailable, match="did not respond"):
        do(writer, job)
    job.may_end.set()
    wait_until(lambda: writer._began_at is None)
    assert notes(writer) == set()


def test_a_job_that_times_out_does_not_affect_others_of_its_group(writer: Writer) -> None:
    gate, slow = SlowJob("gate"), SlowJob("slow")
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(do, writer, gate)
        assert gate.has_begun.wait(40)
        second = threads.submit(do, writer, slow)
        wait_until(lambda: not writer._waiting.empty())
        gate.may_end.set()
        assert slow.has_begun.wait(40)
        assert first.exception(10) is None
        assert isinstance(second.exception(10), OutboxUnavailable)
        third = threads.submit(write_note, writer, "fine")
        slow.may_end.set()
        assert third.exception(10) is None
    assert notes(writer) == {"gate", "fine"}


@contextmanager
def stalled_commit(writer: Writer) -> Iterator[threading.Event]:
    """Let commits wait until the yielded event is set, as for a slow disk."""
    may_end = threading.Event()

    def stall(_: Connection) -> None:
        may_end.wait(40)

    event.listen(writer._engine, "commit", stall)
    try:
        yield may_end
    finally:
        may_end.set()


def set_after(seconds: float, event: threading.Event) -> threading.Timer:
    timer = threading.Timer(seconds, event.set)
    timer.start()
    return timer


def test_a_caller_waits_for_a_commit_that_has_begun(writer: Writer) -> None:
    with stalled_commit(writer) as may_end:
        timer = set_after(TIMEOUT * 1.5, may_end)
        write_note(writer, "slow")
        timer.join()
    assert notes(writer) == {"slow"}


def test_a_commit_that_does_not_end_is_unconfirmed(writer: Writer) -> None:
    with stalled_commit(writer), pytest.raises(UnconfirmedWrite, match="did not finish the commit"):
        write_note(writer, "slow")
    wait_until(lambda: writer._began_at is None)
    assert notes(writer) == {"slow"}


def test_a_connection_lost_during_a_commit_leaves_it_unconfirmed(postgres: str) -> None:
    """A deferred trigger prolongs the COMMIT, during which the session is terminated."""
    engine = writing_engine(postgres)
    with psycopg.connect(postgres, autocommit=True) as session:
        session.execute("DROP TABLE IF EXISTS notes; CREATE TABLE notes (word VARCHAR(40))")
        session.execute(
            "CREATE OR REPLACE FUNCTION slow_commit() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN PERFORM pg_sleep(30); RETURN NULL; END $$"
        )
        session.execute(
            "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION slow_commit()"
        )
        writer = Writer(engine, 5)
        writer.start()
        with ThreadPoolExecutor(1) as threads:
            write: Future[None] = threads.submit(write_note, writer, "lost")
            terminate = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active'"
            )
            wait_until(lambda: session.execute(terminate).rowcount)
            assert isinstance(write.exception(10), UnconfirmedWrite)
        session.execute("DROP TABLE notes; DROP FUNCTION slow_commit")
        writer.stop()
    engine.dispose()


def test_behind_a_stuck_transaction_writes_fail_at_once(
    url: str, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orderconfirm.outbox.writer.STUCK_SECONDS", TIMEOUT / 4)
    with ThreadPoolExecutor(1) as threads:
        with locked(url, "notes"):
            first = threads.submit(write_note, writer, "first")
            wait_until(lambda: writer._began_at and time.monotonic() - writer._began_at > TIMEOUT / 4)
            with pytest.raises(OutboxUnavailable, match="locked or stuck"):
                write_note(writer, "second")
            assert not first.done()
        assert first.exception(10) is None
    assert notes(writer) == {"first"}


#: Commits without a pause, like a process with a long backlog.
BUSY_PROCESS = """
import sys
from orderconfirm.outbox.engines import writing_engine

engine = writing_engine(sys.argv[1])
print("ready", flush=True)
while True:
    with engine.begin() as connection:
        for _ in range(40):
            connection.exec_driver_sql("UPDATE commits SET count = count + 1 WHERE owner = 'busy'").close()
"""


def test_a_busy_process_does_not_starve_another_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/outbox.db"
    engine = writing_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE commits (owner TEXT, count INTEGER)")
        connection.exec_driver_sql("INSERT INTO commits VALUES ('busy', 0)")
    busy = subprocess.Popen([sys.executable, "-c", BUSY_PROCESS, url], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert busy.stdout is not None and busy.stdout.readline() == b"ready\n"
        counts = []
        for _ in range(100):
            with engine.begin() as connection:
                counts.append(connection.exec_driver_sql("SELECT count / 40 FROM commits").scalar_one())
    finally:
        busy.kill()
        busy.communicate()
        engine.dispose()
    # Commits of the busy process between two of this one.
    waits = [after - before for before, after in pairwise(counts)]
    # With SQLite's own waiting there are thousands.
    assert max(waits) < 20
