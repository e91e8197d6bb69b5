"""Service processes killed at every stage: every accepted order still becomes a mail."""

from __future__ import annotations

import json
import os
import random
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from callback_receiver import SECRETS, callback_receiver
from fork_server import ServiceProcess
from processes import free_port, kill, post, query, service, start, stop, wait_until, wait_until_healthy
from smtp_server import HANG, Sink, orders_of, smtp_server

ROOT = Path(__file__).parent.parent

#: The mail in flight when the process is killed, and two that wait behind it. One connection sends them in order.
IN_FLIGHT, WAITING = "K0", ("K1", "K2")
ONE_CONNECTION = {"MAIL_MAX_CONNECTIONS": "1"}


@dataclass
class Victim:
    """A service process that will be killed."""

    folder: Path
    port: int
    process: ServiceProcess
    sink: Sink

    def place_orders(self) -> None:
        assert {post(self.port, name) for name in (IN_FLIGHT, *WAITING)} == {202}

    def is_sending(self) -> bool:
        return bool(query(self.folder, "SELECT 1 FROM outbox WHERE state = 'sending'"))


@contextmanager
def at_smtp_stage(stage: str, folder: Path, sink: Sink) -> Iterator[Victim]:
    """The relay has received the command of `stage` and has not replied."""
    sink.held_at = stage
    port = free_port()
    with smtp_server(sink=sink) as (_, relay_port), service(folder, port, relay_port, **ONE_CONNECTION) as process:
        victim = Victim(folder, port, process, sink)
        victim.place_orders()
        assert sink.reached.wait(40)
        yield victim


@contextmanager
def accepted(folder: Path, sink: Sink) -> Iterator[Victim]:
    port = free_port()
    with service(folder, port, free_port(), **ONE_CONNECTION) as process:  # there is no relay
        victim = Victim(folder, port, process, sink)
        victim.place_orders()
        yield victim


@contextmanager
def claimed(folder: Path, sink: Sink) -> Iterator[Victim]:
    """The connection is not established, because the relay's backlog is full."""
    port = free_port()
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        others = [socket.socket() for _ in range(4)]
        for each in others:
            each.setblocking(False)
            each.connect_ex(address)
        with service(folder, port, address[1], **ONE_CONNECTION) as process:
            victim = Victim(folder, port, process, sink)
            victim.place_orders()
            wait_until(victim.is_sending)
            yield victim
        for each in others:
            each.close()


@contextmanager
def connected(folder: Path, sink: Sink) -> Iterator[Victim]:
    """The relay has accepted the connection and sent no banner."""
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with service(folder, port, silent.getsockname()[1], **ONE_CONNECTION) as process:
            victim = Victim(folder, port, process, sink)
            victim.place_orders()
            silent.settimeout(10)
            connection, _ = silent.accept()
            yield victim
            connection.close()


@contextmanager
def replied(folder: Path, sink: Sink) -> Iterator[Victim]:
    """The relay has replied 250, which cannot be recorded because the database is locked."""
    with at_smtp_stage("DOT", folder, sink) as victim:
        lock = sqlite3.connect(folder / "outbox.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        sink.held_at = "MAIL"  # the next mail may be leased, and is sent although the reply to this one is not recorded
        time.sleep(0.3)  # the reply is read, and its record waits for the lock
        assert victim.is_sending()
        yield victim
        lock.close()


@contextmanager
def draining(folder: Path, sink: Sink) -> Iterator[Victim]:
    """After SIGTERM, the mail in flight is being finished."""
    with at_smtp_stage("RCPT", folder, sink) as victim:
        victim.process.terminate()
        wait_until(lambda: refuses_orders(victim.port))
        yield victim


def refuses_orders(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


def stage(name: str) -> Callable[[Path, Sink], object]:
    return lambda folder, sink: at_smtp_stage(name, folder, sink)


#: Stages as in the table of docs/operations.md, how to reach them, and the allowed copies of the mail in flight.
STAGES: list[tuple[str, Callable[[Path, Sink], object], set[int]]] = [
    ("after the 202", accepted, {1}),
    ("claimed, not connected", claimed, {1}),
    ("connected, before the banner", connected, {1}),
    ("at MAIL FROM", stage("MAIL"), {1}),
    ("at RCPT TO", stage("RCPT"), {1}),
    ("at DATA", stage("DATA"), {1}),
    ("after the end of the message, before the relay's reply", stage("DOT"), {1, 2}),
    ("after the reply, before it is recorded", replied, {1, 2}),
    ("in the drain after SIGTERM", draining, {1}),
]


def copies_after_a_kill(folder: Path, arrange: Callable[[Path, Sink], object]) -> Counter[str]:
    """Kill the process at the stage of `arrange`, start it again, and count the mails that the relay received."""
    folder.mkdir()
    before, after = Sink(), Sink()
    with arrange(folder, before) as victim:  # type: ignore[attr-defined]
        kill(victim.process)
    with smtp_server(sink=after) as (_, relay_port), service(folder, free_port(), relay_port):
        wait_until(lambda: not query(folder, "SELECT 1 FROM outbox WHERE state <> 'sent'"), seconds=20)
    return orders_of(before.mails) + orders_of(after.mails)


def test_a_kill_at_any_stage_loses_no_order_and_repeats_only_a_finished_message(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as threads:
        futures = [
            threads.submit(copies_after_a_kill, tmp_path / str(number), arrange)
            for number, (_, arrange, _) in enumerate(STAGES)
        ]
        results = [future.result() for future in futures]
    table = ["| killed with kill -9 | copies of the mail in flight | copies of the mails behind it |", "|---|---|---|"]
    for (stage, _, allowed), copies in zip(STAGES, results, strict=True):
        table.append(f"| {stage} | {copies[IN_FLIGHT]} | {' and '.join({str(copies[name]) for name in WAITING})} |")
        assert copies[IN_FLIGHT] in allowed, stage
        assert [copies[name] for name in WAITING] == [1, 1], stage
    print("\n".join(table))
    assert "\n".join(table) in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_a_kill_while_the_next_envelope_has_left_as_well_repeats_only_the_finished_message(tmp_path: Path) -> None:
    before, after = Sink(pipelining=True), Sink(pipelining=True)
    before.fault = lambda stage, number: HANG if (stage, number) == ("DATA", 2) else None
    with at_smtp_stage("MAIL", tmp_path, before) as victim:
        before.held_at = None
        wait_until(lambda: 2 in before.overlapped)
        kill(victim.process)
    with smtp_server(sink=after) as (_, relay_port), service(tmp_path, free_port(), relay_port):
        wait_until(lambda: not query(tmp_path, "SELECT 1 FROM outbox WHERE state <> 'sent'"), seconds=20)
    # The relay had all of K1, but had not answered.
    assert (orders_of(before.mails), orders_of(after.mails)) == (Counter(["K0"]), Counter(["K1", "K2"]))
    assert query(tmp_path, "SELECT order_id FROM outbox WHERE possible_copies > 0") == [("K1",)]


def test_two_services_on_one_outbox_killed_again_and_again_lose_nothing(tmp_path: Path) -> None:
    rng = random.Random(2025)
    ports = [free_port(), free_port()]
    names = [f"K{number}" for number in range(400)]
    remaining = list(reversed(names))
    refused: list[int] = []

    def run_and_kill(port: int, lifetimes: list[float]) -> None:
        for seconds in lifetimes:
            process = start(tmp_path, port, relay_port)
            wait_until_healthy(port, process)
            time.sleep(seconds)
            kill(process)

    def shop(number: int) -> None:
        """Place the remaining orders, each until it is accepted."""
        while remaining:
            try:
                name = remaining.pop()
            except IndexError:
                return
            while True:
                number += 1
                try:
                    status = post(ports[number % 2], name)
                except OSError:
                    time.sleep(0.02)
                    continue
                if status < 300:
                    break
                refused.append(status)
            time.sleep(0.1)  # so that orders arrive during all kills

    with smtp_server(sink=Sink(pipelining=True)) as (sink, relay_port):
        with ThreadPoolExecutor(10) as threads:
            killers = [threads.submit(run_and_kill, port, [rng.uniform(0.1, 0.8) for _ in range(4)]) for port in ports]
            shops = [threads.submit(shop, number) for number in range(8)]
            for killer in killers:
                killer.result()
            survivor = start(tmp_path, ports[0], relay_port)
            for each in shops:
                each.result()
        copies = sink.wait_for_orders(len(names), seconds=60)
        wait_until(lambda: not query(tmp_path, "SELECT 1 FROM outbox WHERE state <> 'sent'"), seconds=30)
        copies = orders_of(sink.mails)
        stop(survivor)
    [(possible_copies,)] = query(tmp_path, "SELECT sum(possible_copies) FROM outbox")
    assert set(copies) == set(names)
    assert copies.total() - len(names) <= int(str(possible_copies))
    assert sink.overlapped
    assert all(status == 503 for status in refused)


def test_two_hundred_accepted_orders_survive_kill_9(tmp_path: Path) -> None:
    port, relay_port = free_port(), free_port()
    names = [f"K{number}" for number in range(200)]
    with service(tmp_path, port, relay_port) as process:  # there is no relay yet
        assert {post(port, name) for name in names} == {202}
        kill(process)
    with smtp_server(port=relay_port) as (sink, _), service(tmp_path, port, relay_port):
        assert sink.wait_for_orders(200, seconds=40) == Counter(names)


def test_kill_9_between_a_sent_mail_and_its_callback_loses_no_callback(tmp_path: Path) -> None:
    names = [f"K{number}" for number in range(5)]
    with callback_receiver() as receiver, smtp_server() as (_, relay_port):
        receiver.respond = lambda path: (503, {})  # so that none is delivered before the kill
        callback = {
            "CALLBACK_URL": receiver.url,
            "CALLBACK_SECRETS": ",".join(SECRETS),
            "CALLBACK_ALLOW_PRIVATE": "true",
        }
        port = free_port()
        with service(tmp_path, port, relay_port, **callback) as process:
            assert {post(port, name) for name in names} == {202}
            wait_until(lambda: query(tmp_path, "SELECT count(*) FROM outbox WHERE state = 'sent'") == [(5,)])
            kill(process)
        receiver.respond = lambda path: (200, {})
        receiver.received.clear()
        with sqlite3.connect(tmp_path / "outbox.db") as connection:
            connection.execute("UPDATE callbacks SET due_at = 0")
        connection.close()
        with service(tmp_path, port, relay_port, **callback):
            wait_until(lambda: query(tmp_path, "SELECT count(*) FROM callbacks WHERE state = 'delivered'") == [(5,)])
        told = Counter(json.loads(body)["data"]["order_id"] for _, _, body in receiver.received)
        assert told == Counter(names)


def test_mails_in_flight_at_sigterm_are_finished_and_the_others_wait(tmp_path: Path) -> None:
    port = free_port()
    with smtp_server() as (sink, relay_port):
        names = [f"K{number}" for number in range(60)]
        with service(tmp_path, port, relay_port) as process:
            assert {post(port, name) for name in names} == {202}
            process.terminate()
            assert process.wait(30) == 0
        assert max(orders_of(sink.mails).values(), default=0) <= 1
        assert not query(tmp_path, "SELECT 1 FROM outbox WHERE state = 'sending'")
        with service(tmp_path, port, relay_port):
            assert sink.wait_for_orders(60, seconds=30) == Counter(names)


def test_mails_at_a_hanging_relay_are_queued_again_at_sigterm(tmp_path: Path) -> None:
    sink = Sink()
    sink.held_at = "RCPT"
    port = free_port()
    # 13 s until SIGKILL leave 3 for the drain.
    with smtp_server(sink=sink) as (_, relay_port):
        with service(tmp_path, port, relay_port, MAIL_TIMEOUT="2", STOP_TIMEOUT="13") as process:
            assert post(port, "K1") == 202
            assert sink.reached.wait(40)
            process.terminate()
            assert process.wait(13) == 0
    assert query(tmp_path, "SELECT state, attempts, possible_copies FROM outbox") == [("queued", 0, 0)]


def test_an_endless_request_does_not_prevent_the_drain(tmp_path: Path) -> None:
    sink = Sink()
    port = free_port()
    sink.held_at = "DOT"
    with smtp_server(sink=sink) as (_, relay_port):
        with service(tmp_path, port, relay_port, MAIL_TIMEOUT="2", STOP_TIMEOUT="13", **ONE_CONNECTION) as process:
            for name in ("K0", "K1", "K2"):
                assert post(port, name) == 202
            assert sink.reached.wait(40)
            with socket.create_connection(("127.0.0.1", port)) as half:
                half.sendall(b"POST /api/order-confirmation HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{")
                time.sleep(0.2)
                process.terminate()
                time.sleep(0.5)
                sink.held_at = None
                wait_until(lambda: not query(tmp_path, "SELECT 1 FROM outbox WHERE state = 'sending'"))
                time.sleep(1)
                assert orders_of(sink.mails) == Counter(["K0"])
                process.wait(15)
    states = query(tmp_path, "SELECT state, possible_copies FROM outbox ORDER BY id")
    assert states == [("sent", 0), ("queued", 0), ("queued", 0)]


def test_an_incompletely_configured_production_does_not_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "APP_ENV": "production", "DATABASE_URL": f"sqlite:///{tmp_path}/o.db"},
        capture_output=True,
        timeout=30,
    )
    assert done.returncode != 0
    assert b"MAILTRAP_API_TOKEN" in done.stderr and b"EMAIL_SENDER" in done.stderr
    assert b"Traceback" not in done.stderr
