"""Requests written byte by byte, and a service to mistreat with them."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from factories import make_body
from fork_server import ServiceProcess
from processes import free_port, query, service
from smtp_server import smtp_server

SECRET = "s" * 32
PATH = "/api/order-confirmation"
#: Seconds that an answer may take; far more than any should.
TIMEOUT = 40


class Running(NamedTuple):
    """A service to be mistreated."""

    port: int
    folder: Path
    process: ServiceProcess

    def ask(self, message: bytes, ends: bool = False) -> bytes:
        """Send bytes as they are."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT) as connection:
            with suppress(OSError):  # it may refuse, and be gone, before it has read everything
                connection.sendall(message)
                if ends:
                    connection.shutdown(socket.SHUT_WR)
            return all_of(connection)

    def memory(self) -> int:
        """Bytes of the master and its workers."""
        return sum(self._kilobytes("VmRSS")) * 1024

    def peak(self) -> int:
        """Bytes that its largest process ever took."""
        return max(self._kilobytes("VmHWM")) * 1024

    def _kilobytes(self, name: str) -> list[int]:
        """A figure of each process in the service's group, as Linux has it."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it may have ended
                if os.getpgid(int(process.name)) == self.process.pid:
                    found.append(int((process / "status").read_text().split(f"{name}:")[1].split()[0]))
        return found


def all_of(connection: socket.socket) -> bytes:
    """Everything that comes back until the connection is closed."""
    answer = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            answer += part
    return answer


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder, port = tmp_path_factory.mktemp("hostile"), free_port()
    with (
        smtp_server() as (_, relay_port),
        service(folder, port, relay_port, MAILTRAP_WEBHOOK_SECRET=SECRET) as process,
    ):
        yield Running(port, folder, process)


@pytest.fixture
def nothing_is_stored_and_nothing_broke(running: Running) -> Iterator[None]:
    yield
    assert query(running.folder, "SELECT order_id FROM outbox") == []
    assert query(running.folder, "SELECT event_id FROM delivery_events") == []
    log = (running.folder / "service.log").read_text()
    assert "Traceback" not in log and "john.doe" not in log
    assert running.process.poll() is None


def request(body: bytes, path: str = PATH, *headers: str, kind: str = "application/json", length: Any = None) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: shop", "Connection: close", f"Content-Type: {kind}", *headers]
    if length != "none":
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body


def told(answer: bytes) -> dict[str, Any]:
    """The problem that an answer is."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower(), answer[:500]
    problem: dict[str, Any] = json.loads(body)
    assert int(head.split()[1]) == problem["status"]
    return problem


def order(**changes: Any) -> bytes:
    return json.dumps(make_body(**changes)).encode()
