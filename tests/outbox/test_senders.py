"""How the processes that send share the relay account's connections, on real databases."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from processes import free_port, kill, post, query, service, start, stop, wait_until, wait_until_healthy
from smtp_server import smtp_server

from orderconfirm.outbox.breaker import Pause
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.senders import LOOK_INTERVAL, Senders, Share

TOTAL = 10


class Process:
    """A sender with its own database connections, which opens as many relay connections as it may."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        self.database = Database(url)
        self.database.open()
        self.database.process_locks.claim(lambda: None)
        stack.callback(self.database.close)
        stack.callback(self.database.process_locks.release)
        self.senders = Senders(self.database, TOTAL)
        self.open = 0
        self.may_close = True
        self.now = 1000.0

    def look(self, pause: Pause | None = None) -> Share:
        """Ask for the share, and open or close connections to keep to it."""
        self.now += LOOK_INTERVAL
        share = self.senders.share(self.open, pause, self.now)
        if self.may_close or share.connections > self.open:
            self.open = share.connections
        return share


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def rows(process: Process) -> list[tuple[object, ...]]:
    with process.database.reading() as connection:
        return [tuple(row) for row in connection.exec_driver_sql("SELECT connections, pause_reason FROM senders")]


def test_a_sender_alone_has_all_connections(url: str, stack: ExitStack) -> None:
    assert Process(url, stack).look() == Share(TOTAL, 0)


def test_a_sender_that_joins_waits_until_the_others_have_closed_what_they_have_too_many(
    url: str, stack: ExitStack
) -> None:
    first, second = Process(url, stack), Process(url, stack)
    first.look()
    assert second.look() == Share(0, 1)
    first.may_close = False
    assert first.look() == Share(5, 1)
    assert second.look() == Share(0, 1)
    first.may_close, first.open = True, 7
    first.look()
    assert second.look() == Share(3, 1)
    first.look()
    assert second.look() == Share(5, 1)


def test_what_does_not_divide_evenly_goes_to_those_that_joined_first(url: str, stack: ExitStack) -> None:
    processes = [Process(url, stack) for _ in range(4)]
    for _ in range(4):
        for process in processes:
            process.look()
    assert [process.open for process in processes] == [3, 3, 2, 2]


def test_one_that_leaves_or_was_killed_leaves_its_connections_to_the_others(tmp_path: Path, stack: ExitStack) -> None:
    url = f"sqlite:///{tmp_path}/outbox.db"
    processes = [Process(url, stack) for _ in range(3)]
    for _ in range(4):
        for process in processes:
            process.look()
    processes[0].senders.leave()
    processes[1].database.process_locks._held.close()  # type: ignore[union-attr]
    processes[1].database.process_locks._notes.close()  # type: ignore[union-attr]
    assert processes[2].look() == Share(TOTAL, 0)
    assert rows(processes[2]) == [(TOTAL, None)]


def test_more_senders_than_connections_stand_by(url: str, stack: ExitStack) -> None:
    processes = [Process(url, stack) for _ in range(TOTAL + 2)]
    for _ in range(3):
        for process in processes:
            process.look()
    assert [process.open for process in processes] == [1] * TOTAL + [0, 0]


def test_never_more_than_all_connections_are_open_while_senders_come_and_go(url: str, stack: ExitStack) -> None:
    chance = random.Random(4)
    processes = [Process(url, stack) for _ in range(5)]
    present: list[Process] = []
    for _ in range(300):
        if chance.random() < 0.1:
            process = chance.choice(processes)
            if process in present:
                process.open = 0
                process.senders.leave()
                present.remove(process)
            else:
                present.append(process)
        for process in present:
            process.may_close = chance.random() < 0.5
            process.look()
            assert sum(each.open for each in present) <= TOTAL
    assert present


def test_two_that_join_at_once_do_not_take_the_same_connections(url: str, stack: ExitStack) -> None:
    processes = [Process(url, stack) for _ in range(6)]
    barrier = threading.Barrier(len(processes))

    def join(process: Process) -> None:
        barrier.wait()
        process.look()

    threads = [threading.Thread(target=join, args=(process,)) for process in processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(process.open for process in processes) <= TOTAL


def test_a_pause_is_made_known_to_the_others_and_its_end_too(url: str, stack: ExitStack) -> None:
    process = Process(url, stack)
    process.look(Pause("auth: 535 no access for john@example.com", 990.0, 1060.0))
    [(_, reason)] = rows(process)
    assert reason == "auth: 535 no access for …@example.com"
    process.look()
    assert rows(process) == [(TOTAL, None)]


def test_a_settled_sender_writes_nothing(tmp_path: Path, stack: ExitStack) -> None:
    process = Process(f"sqlite:///{tmp_path}/outbox.db", stack)
    process.look()
    process.database.write = None  # type: ignore[assignment,method-assign]
    for _ in range(50):
        assert process.look() == Share(TOTAL, 0)


def test_services_keep_to_the_connections_of_the_account_while_one_joins_and_is_killed(tmp_path: Path) -> None:
    limits = {"MAIL_MAX_CONNECTIONS": "4", "SENDER": "thread"}
    first, second = free_port(), free_port()
    names = [f"K{number}" for number in range(300)]
    with smtp_server() as (sink, relay_port), service(tmp_path, first, relay_port, **limits):
        assert {post(first, name) for name in names[:100]} == {202}
        joining = start(tmp_path, second, relay_port, **limits)
        try:
            wait_until_healthy(second, joining)
            wait_until(lambda: query(tmp_path, "SELECT connections FROM senders") == [(2,), (2,)])
            assert {post(port, name) for port, name in zip([first, second] * 50, names[100:200], strict=True)} == {202}
            kill(joining)
            wait_until(lambda: query(tmp_path, "SELECT connections FROM senders") == [(4,)])
            assert {post(first, name) for name in names[200:]} == {202}
            copies = sink.wait_for_orders(300, seconds=30)
        finally:
            stop(joining)
        assert set(copies) == set(names)
        assert 1 <= sink.most_open <= 4
