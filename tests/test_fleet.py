"""Several services on one PostgreSQL database: roles, kills, and the connections that they share."""

from __future__ import annotations

import json
import random
import threading
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
from conftest import relay_variables
from fork_server import ServiceProcess
from processes import (
    free_port,
    kill,
    post,
    run_in_background,
    service,
    start,
    stop,
    wait_until,
    wait_until_healthy,
)
from smtp_server import Sink, orders_of, smtp_server

SERVICES = 4
ORDERS = 600
KILLS = 2


def select(url: str, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(sql).fetchall()  # type: ignore[call-overload, no-any-return]


def get(port: int, path: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        return json.loads(response.read())  # type: ignore[no-any-return]


class Fleet:
    """Services that are killed and started again, and a shop that places orders at all of them."""

    def __init__(self, folder: Path, url: str, relay_port: int) -> None:
        self.ports = [free_port() for _ in range(SERVICES)]
        self.folders = [folder / str(number) for number in range(SERVICES)]
        for each in self.folders:
            each.mkdir()
        self.variables = {"DATABASE_URL": url, "SENDER": "thread"}
        self.relay_port = relay_port
        #: The statuses of each order that was placed at two services at once, unless a kill interrupted one of them.
        self.statuses_of_pairs: list[list[int]] = []
        self.refused: list[int] = []

    def start(self, number: int) -> ServiceProcess:
        process = start(self.folders[number], self.ports[number], self.relay_port, **self.variables)
        wait_until_healthy(self.ports[number], process)
        return process

    def run_and_kill(self, number: int, lifetimes: list[float]) -> ServiceProcess:
        """Kill a service and start it again, several times. Returns the last process."""
        for seconds in lifetimes:
            process = self.start(number)
            time.sleep(seconds)
            kill(process)
        return self.start(number)

    def place(self, name: str, port: int) -> tuple[int, bool]:
        """Place an order until it is accepted. Returns the status, and whether no request was interrupted."""
        is_whole = True
        while True:
            try:
                status = post(port, name)
            except OSError:
                is_whole, port = False, random.choice(self.ports)
                time.sleep(0.02)
                continue
            if status < 300:
                return status, is_whole
            self.refused.append(status)

    def place_twice(self, name: str) -> None:
        """Place an order at two services at the same moment."""
        barrier = threading.Barrier(2)

        def place(port: int) -> tuple[int, bool]:
            barrier.wait(40)
            return self.place(name, port)

        with ThreadPoolExecutor(2) as threads:
            results = list(threads.map(place, random.sample(self.ports, 2)))
        if all(is_whole for _, is_whole in results):
            self.statuses_of_pairs.append(sorted(status for status, _ in results))

    def place_all(self, names: list[str]) -> None:
        for number, name in enumerate(names):
            if number % 10:
                self.place(name, random.choice(self.ports))
            else:
                self.place_twice(name)


def test_services_killed_at_random_lose_nothing_and_recognise_repeated_orders(
    tmp_path: Path, postgres_outbox: str
) -> None:
    names = [f"K{number}" for number in range(ORDERS)]
    with smtp_server(sink=Sink(pipelining=True)) as (sink, relay_port), ThreadPoolExecutor(16) as threads:
        fleet = Fleet(tmp_path, postgres_outbox, relay_port)
        lifetimes = [[random.uniform(0.5, 3) for _ in range(KILLS)] for _ in range(SERVICES)]
        killers = [threads.submit(fleet.run_and_kill, number, each) for number, each in enumerate(lifetimes)]
        shops = [threads.submit(fleet.place_all, names[first::8]) for first in range(8)]
        try:
            for shop in shops:
                shop.result()
        finally:
            processes = [killer.result() for killer in killers]
        copies = sink.wait_for_orders(ORDERS, seconds=60)
        wait_until(lambda: not select(postgres_outbox, "SELECT 1 FROM outbox WHERE state <> 'sent'"), seconds=30)
        for process in processes:
            stop(process)
        copies = orders_of(sink.mails)
    [(possible_copies,)] = select(postgres_outbox, "SELECT sum(possible_copies) FROM outbox")
    assert set(copies) == set(names)
    assert copies.total() - ORDERS <= possible_copies
    assert fleet.statuses_of_pairs
    assert all(statuses == [200, 202] for statuses in fleet.statuses_of_pairs)
    assert set(fleet.refused) <= {503}


def test_one_service_takes_orders_and_another_sends_them(tmp_path: Path, postgres_outbox: str) -> None:
    web, sender = free_port(), free_port()
    (tmp_path / "sender").mkdir()
    with smtp_server() as (sink, relay_port):
        with service(tmp_path, web, relay_port, DATABASE_URL=postgres_outbox, SENDER="off"):
            assert post(web, "K0") == 202
            assert get(web, "/ready")["senders"] == 0
            with service(
                tmp_path / "sender", sender, relay_port, DATABASE_URL=postgres_outbox, SENDER="only"
            ) as process:
                sink.wait_for_orders(1, seconds=20)
                assert post(sender, "K1") == 404
                wait_until(lambda: get(web, "/ready")["senders"] == 1)
                assert get(sender, "/ready")["mails"] == {}
                sink.held_at = "DOT"
                assert post(web, "K1") == 202
                assert sink.reached.wait(40)
                process.terminate()
                sink.held_at = None
                assert process.wait(30) == 0
            assert orders_of(sink.mails) == Counter(["K0", "K1"])
            assert get(web, "/ready")["senders"] == 0
    assert select(postgres_outbox, "SELECT state FROM outbox") == [("sent",)] * 2


def test_the_command_outbox_run_starts_a_sender(tmp_path: Path, postgres_outbox: str) -> None:
    port = free_port()
    with smtp_server() as (_, relay_port):
        variables = relay_variables(relay_port, PORT=str(port), DATABASE_URL=postgres_outbox)
        process = run_in_background(["flask", "outbox", "run"], tmp_path / "log", variables)
        try:
            wait_until_healthy(port, process)
            wait_until(lambda: get(port, "/ready")["senders"] == 1)
            assert post(port, "K0") == 404
        finally:
            stop(process)
        assert process.returncode == 0


def test_senders_that_join_leave_and_die_never_open_more_connections_than_the_account_has(
    tmp_path: Path, postgres_outbox: str
) -> None:
    limits = {"DATABASE_URL": postgres_outbox, "MAIL_MAX_CONNECTIONS": "5"}
    names = [f"K{number}" for number in range(400)]
    web = free_port()

    def connections() -> list[int]:
        return sorted(count for (count,) in select(postgres_outbox, "SELECT connections FROM senders"))

    with smtp_server() as (sink, relay_port), ExitStack() as stack, ThreadPoolExecutor(1) as threads:
        stack.enter_context(service(tmp_path, web, relay_port, **limits, SENDER="off"))
        shopping = threads.submit(lambda: [post(web, name) for name in names])
        senders = []
        for number, shares in enumerate([[5], [2, 3], [1, 2, 2]]):
            folder = tmp_path / str(number)
            folder.mkdir()
            senders.append(start(folder, free_port(), relay_port, **limits, SENDER="only"))
            stack.callback(stop, senders[-1])
            wait_until(lambda shares=shares: connections() == shares, seconds=30)  # type: ignore[misc]
        kill(senders.pop())
        wait_until(lambda: connections() == [2, 3], seconds=30)
        stop(senders.pop())
        wait_until(lambda: connections() == [5], seconds=30)
        assert set(shopping.result()) == {202}
        assert set(sink.wait_for_orders(len(names), seconds=60)) == set(names)
        assert 1 <= sink.most_open <= 5
