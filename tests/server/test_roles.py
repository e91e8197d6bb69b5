"""A sender process and a thread that sends, in a whole service: signals, losses, wake-ups and shared status."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from fork_server import ServiceProcess
from processes import free_port, post, query, service, wait_until
from smtp_server import Sink, smtp_server

from orderconfirm.outbox.dispatcher import POLL_INTERVAL


@dataclass
class Running:
    """A service with a relay."""

    folder: Path
    port: int
    master: ServiceProcess
    sink: Sink

    @property
    def workers(self) -> set[int]:
        found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.master.pid)], capture_output=True, text=True)
        return set(map(int, found.stdout.split()))

    @property
    def senders(self) -> set[int]:
        """The workers that hold no listening socket."""
        return {pid for pid in self.workers if not _listens(pid)}

    @property
    def web(self) -> set[int]:
        return self.workers - self.senders

    def metric(self, name: str) -> float:
        """Return a metric; infinity while no process tells it."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as response:
                found = re.search(rf"^orderconfirm_{name} (\S+)$", response.read().decode(), re.MULTILINE)
        except OSError:
            return float("inf")
        return float(found[1]) if found else float("inf")

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=10) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def is_in_order(self, web: int = 1) -> bool:
        """Whether there are one sender and `web` web processes, all of them at work."""
        return (len(self.senders), len(self.web)) == (1, web) and self.metric("dispatcher_idle_seconds") < 5

    def place(self, name: str) -> None:
        """Place an order, again and again until it is accepted."""

        def is_accepted() -> bool:
            try:
                return post(self.port, name) in (200, 202)
            except OSError:
                return False

        wait_until(is_accepted, seconds=20)

    def send(self, signal_number: signal.Signals) -> None:
        self.master.send_signal(signal_number)

    def states(self) -> Counter[object]:
        return Counter(state for (state,) in query(self.folder, "SELECT state FROM outbox"))


def _listens(pid: int) -> bool:
    """Whether a worker answers requests: only the sender has closed the master's listening socket."""
    held = set(_files_of(pid))
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return bool(held & {f"socket:[{fields[9]}]" for line in lines if (fields := line.split())[3] == "0A"})


def _files_of(pid: int) -> Iterator[str]:
    """Yield the open files of a process, none if it has ended."""
    with suppress(FileNotFoundError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with suppress(FileNotFoundError):
                yield os.readlink(f"/proc/{pid}/fd/{number}")


@contextmanager
def running(folder: Path, **variables: str) -> Iterator[Running]:
    port = free_port()
    with smtp_server() as (sink, relay_port), service(folder, port, relay_port, **variables) as master:
        yield Running(folder, port, master, sink)


@pytest.fixture
def with_sender(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, SENDER="process") as service:
        wait_until(service.is_in_order, seconds=20)
        yield service


def test_new_orders_wake_the_sender_process(with_sender: Running) -> None:
    began = time.monotonic()
    for number in range(20):
        with_sender.place(f"K{number}")
        with_sender.sink.wait_for_orders(number + 1, seconds=10)
    assert time.monotonic() - began < 20 * POLL_INTERVAL / 2
    wait_until(lambda: with_sender.states() == {"sent": 20})


def kill_sender(service: Running) -> None:
    [sender] = service.senders
    os.kill(sender, signal.SIGKILL)


def kill_web(service: Running) -> None:
    [web] = service.web
    os.kill(web, signal.SIGKILL)


def kill_both(service: Running) -> None:
    for pid in service.workers:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("stage", ["MAIL", "DOT"])
@pytest.mark.parametrize("loss", [kill_sender, kill_web, kill_both])
def test_a_lost_process_is_replaced_in_its_role_and_no_mail_is_lost(
    with_sender: Running, loss: Callable[[Running], None], stage: str
) -> None:
    before = with_sender.workers
    with_sender.sink.held_at = stage
    names = [f"K{number}" for number in range(30)]
    for name in names:
        with_sender.place(name)
    assert with_sender.sink.reached.wait(40)
    loss(with_sender)
    with_sender.sink.held_at = None
    wait_until(lambda: with_sender.workers != before and with_sender.is_in_order(), seconds=20)
    with_sender.place("K30")
    copies = with_sender.sink.wait_for_orders(31, seconds=20)
    wait_until(lambda: with_sender.states() == {"sent": 31})
    [(possible_copies,)] = query(with_sender.folder, "SELECT sum(possible_copies) FROM outbox")
    assert with_sender.sink.wait_for_orders(31, 1).total() - 31 <= int(str(possible_copies))
    if loss is kill_web:
        assert (possible_copies, copies.total()) == (0, 31)


def test_a_stop_drains_the_sender_process(with_sender: Running) -> None:
    with_sender.sink.held_at = "DATA"
    with_sender.place("K0")
    assert with_sender.sink.reached.wait(40)
    [sender] = with_sender.senders
    with_sender.send(signal.SIGTERM)
    wait_until(lambda: with_sender.workers == {sender})
    with_sender.sink.held_at = None
    assert with_sender.master.wait(20) == 0
    assert with_sender.states() == {"sent": 1}
    assert len(with_sender.sink.mails) == 1


def test_the_sender_process_refuses_clients_while_it_drains(with_sender: Running) -> None:
    with_sender.sink.held_at = "DATA"
    with_sender.place("K0")
    assert with_sender.sink.reached.wait(40)
    with_sender.send(signal.SIGTERM)
    wait_until(lambda: not with_sender.web)
    with pytest.raises(ConnectionRefusedError):
        try:
            post(with_sender.port, "K1")
        except urllib.error.URLError as exc:
            raise exc.reason from None  # type: ignore[misc]
    with_sender.sink.held_at = None


def test_a_reload_replaces_both_and_leaves_one_sender(with_sender: Running) -> None:
    for turn in range(2):
        before = with_sender.workers
        with_sender.send(signal.SIGHUP)
        wait_until(lambda before=before: not with_sender.workers & before and with_sender.is_in_order(), seconds=30)  # type: ignore[misc]
        with_sender.place(f"K{turn}")
        with_sender.sink.wait_for_orders(turn + 1, seconds=10)
    wait_until(lambda: with_sender.states() == {"sent": 2})
    assert len(with_sender.sink.mails) == 2


def test_a_reload_under_load_sends_each_mail_once(with_sender: Running) -> None:
    before = with_sender.workers
    names = [f"K{number}" for number in range(60)]
    for number, name in enumerate(names):
        if number == 20:
            with_sender.send(signal.SIGHUP)
        with_sender.place(name)
    wait_until(lambda: not with_sender.workers & before and with_sender.is_in_order(), seconds=30)
    assert with_sender.sink.wait_for_orders(60, seconds=20) == Counter(names)
    wait_until(lambda: with_sender.states() == {"sent": 60})


def test_the_web_process_tells_that_the_sender_makes_no_rounds(with_sender: Running) -> None:
    [sender] = with_sender.senders
    assert with_sender.is_ready()
    os.kill(sender, signal.SIGSTOP)
    first = with_sender.metric("dispatcher_idle_seconds")
    wait_until(lambda: with_sender.metric("dispatcher_idle_seconds") > first + 3)
    os.kill(sender, signal.SIGCONT)
    wait_until(lambda: with_sender.metric("dispatcher_idle_seconds") < first + 3)


def test_the_web_process_tells_that_the_sender_has_paused_the_relay(with_sender: Running) -> None:
    assert with_sender.metric("relay_paused") == 0
    with_sender.sink.fault = lambda stage, number: "550 5.7.1 Sending from domain acme.example is not allowed"
    with_sender.place("K0")
    wait_until(lambda: with_sender.metric("relay_paused") == 1)
    assert with_sender.is_ready()


def test_signals_that_change_the_number_of_workers_keep_one_sender(with_sender: Running) -> None:
    [sender] = with_sender.senders
    for change, web in ((signal.SIGTTIN, 2), (signal.SIGTTIN, 3), (signal.SIGTTOU, 2), (signal.SIGTTOU, 1)):
        with_sender.send(change)
        wait_until(lambda web=web: with_sender.is_in_order(web), seconds=20)  # type: ignore[misc]
        assert with_sender.senders == {sender}


def test_the_last_web_process_is_not_taken_away(with_sender: Running) -> None:
    before = with_sender.workers
    with_sender.send(signal.SIGTTOU)
    log = with_sender.folder / "service.log"
    wait_until(lambda: "Handling signal: ttou" in log.read_text())
    with_sender.send(signal.SIGTTIN)  # handled after the other one
    wait_until(lambda: with_sender.is_in_order(2), seconds=20)
    assert before < with_sender.workers


def test_a_service_that_sends_in_a_thread_has_one_process(tmp_path: Path) -> None:
    with running(tmp_path, SENDER="thread") as service:
        assert len(service.workers) == 1
        service.place("K0")
        service.sink.wait_for_orders(1, seconds=10)
        assert service.metric("dispatcher_idle_seconds") < 5
