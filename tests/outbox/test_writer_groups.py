"""Writes of several operations in one transaction, on a real SQLite file and a real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from outboxes import locked, writer_of_notes
from processes import wait_until
from sqlalchemy import Connection, event

from orderconfirm.errors import KeyConflict, OutboxUnavailable
from orderconfirm.outbox.writer import MAX_GROUP, Writer


@pytest.fixture
def writer(url: str) -> Iterator[Writer]:
    with writer_of_notes(url, timeout=5) as writer:
        yield writer


class Operations:
    """Operations on notes, which keep the items of each call."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def add(self, connection: Connection, words: Sequence[str]) -> list[str]:
        """Write each word. A word twice is an error of the database."""
        self.calls.append(list(words))
        for word in words:
            connection.exec_driver_sql(f"INSERT INTO notes VALUES ('{word}')").close()
        return [f"added {word}" for word in words]

    def judge(self, connection: Connection, words: Sequence[str]) -> list[str | Exception]:
        """Write each word that has no blank. The others have an exception as their result."""
        self.calls.append(list(words))
        good = [word for word in words if " " not in word]
        for word in good:
            connection.exec_driver_sql(f"INSERT INTO notes VALUES ('{word}')").close()
        return [word if word in good else KeyConflict(word, "K1") for word in words]

    def count(self, connection: Connection, items: Sequence[None]) -> list[int]:
        number = connection.exec_driver_sql("SELECT count(*) FROM notes").scalar_one()
        return [number for _ in items]


@pytest.fixture
def operations() -> Operations:
    return Operations()


def notes(writer: Writer) -> set[str]:
    with writer._engine.connect() as connection:
        return set(connection.exec_driver_sql("SELECT word FROM notes").scalars())


def commits(writer: Writer) -> list[object]:
    """Return a list that grows with each commit."""
    seen: list[object] = []
    event.listen(writer._engine, "commit", seen.append)
    return seen


def test_writes_of_one_operation_are_carried_out_together(writer: Writer, operations: Operations) -> None:
    seen = commits(writer)
    results = writer.do_all([(operations.add, "a"), (operations.judge, "b"), (operations.add, "c")])
    assert results == ["added a", "b", "added c"]
    assert operations.calls == [["a", "c"], ["b"]]
    assert len(seen) == 1


def test_operations_run_in_the_order_of_their_first_write(writer: Writer, operations: Operations) -> None:
    writes = [(operations.add, "a"), (operations.count, None), (operations.add, "b")]
    assert writer.do_all(writes) == ["added a", 2, "added b"]


def test_nothing_to_write_has_no_results(writer: Writer) -> None:
    assert writer.do_all([]) == []


def test_a_write_that_fails_leaves_the_others_of_its_group_written(writer: Writer, operations: Operations) -> None:
    words = ["a", "b", "a", "c"]
    *results, count = writer.do_all([*((operations.add, word) for word in words), (operations.count, None)])
    assert [type(result) for result in results] == [str, str, OutboxUnavailable, str]
    assert count == 3
    assert notes(writer) == {"a", "b", "c"}


def test_a_result_that_is_an_exception_is_that_write_s_alone(writer: Writer, operations: Operations) -> None:
    good, bad, other = writer.do_all([(operations.judge, "a"), (operations.judge, "b c"), (operations.add, "d")])
    assert (good, type(bad), other) == ("a", KeyConflict, "added d")
    assert notes(writer) == {"a", "d"}


def test_writes_that_wait_for_the_database_share_its_next_transaction(
    url: str, writer: Writer, operations: Operations
) -> None:
    seen = commits(writer)
    with ThreadPoolExecutor(20) as threads:
        with locked(url, "notes"):
            futures = [threads.submit(writer.do_all, [(operations.add, f"w{number}")]) for number in range(20)]
            wait_until(lambda: writer._began_at is not None)
            wait_until(lambda: all(future.running() for future in futures))
        assert sorted(future.result(40)[0] for future in futures) == sorted(f"added w{n}" for n in range(20))
    assert len(notes(writer)) == 20
    assert len(seen) < 20


def test_one_failing_write_among_many_callers_is_told_to_its_caller_only(
    writer: Writer, operations: Operations
) -> None:
    words = [f"w{number}" for number in range(50)] + ["w7", "w33"]
    with ThreadPoolExecutor(16) as threads:
        results = list(threads.map(lambda word: writer.do_all([(operations.add, word)])[0], words))
    failed = [word for word, result in zip(words, results, strict=True) if isinstance(result, OutboxUnavailable)]
    assert sorted(failed) == ["w33", "w7"]
    assert len(notes(writer)) == 50


def test_more_writes_than_a_group_holds_are_all_written(writer: Writer, operations: Operations) -> None:
    words = [f"w{number}" for number in range(3 * MAX_GROUP)]
    with ThreadPoolExecutor(3) as threads:
        parts = [words[start::3] for start in range(3)]
        for results in threads.map(lambda part: writer.do_all([(operations.add, word) for word in part]), parts):
            assert all(isinstance(result, str) for result in results)
    assert notes(writer) == set(words)


def test_a_stop_finishes_the_writes_that_wait(url: str, writer: Writer, operations: Operations) -> None:
    is_stopped = threading.Event()
    with ThreadPoolExecutor(6) as threads:
        with locked(url, "notes"):
            futures = [threads.submit(writer.do_all, [(operations.add, f"w{number}")]) for number in range(5)]
            wait_until(lambda: writer._began_at is not None)
            wait_until(lambda: all(future.running() for future in futures) and writer._thread is not None)
            stopping = threads.submit(lambda: (writer.stop(), is_stopped.set()))
            assert not is_stopped.is_set()
        stopping.result(40)
        results = [future.result(40)[0] for future in futures]
    written = [result for result in results if isinstance(result, str)]
    assert {result.removeprefix("added ") for result in written} == notes(writer)
    assert all(isinstance(result, str | OutboxUnavailable) for result in results)
    writer.start()
