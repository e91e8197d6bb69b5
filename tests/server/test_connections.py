"""Hundreds of clients that send nothing, part of a request, or too much: other clients do not wait for them."""

from __future__ import annotations

import json
import logging
import select
import selectors
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from factories import make_body
from fork_server import ServiceProcess
from gunicorn.config import Config
from processes import free_port, service, wait_until

from orderconfirm.server.connections import MAX_UNSENT_BYTES, ClientSocket, Connection, _unsent
from orderconfirm.server.poller import READ_SECONDS, SILENT_SECONDS, PollingWorker

PATH = "/api/order-confirmation"
#: Connections of one worker, and of one address.
MAX_CONNECTIONS = 800
MAX_PER_ADDRESS = 200
#: Seconds within which a response comes if no other client delays it.
SOON = 6.0

BODY = json.dumps(make_body()).encode()
LARGE_BODY = json.dumps(make_body(notes="x" * 1_000_000)).encode()
ASSET = b"GET /static/vendor/redoc-3.0.1/redoc.standalone.js HTTP/1.1\r\nHost: shop\r\n\r\n"


def request(body: bytes, *headers: str, path: str = f"{PATH}/preview") -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: shop", "Content-Type: application/json", *headers)
    return "\r\n".join((*lines, f"Content-Length: {len(body)}", "", "")).encode() + body


def connect(port: int, message: bytes = b"", host: str = "127.0.0.1") -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # unread bytes stay in the service
    connection.settimeout(30)
    connection.bind((host, 0))
    connection.connect(("127.0.0.1", port))
    with suppress(OSError):  # the service may close the connection before all is sent
        connection.sendall(message)
    return connection


@contextmanager
def crowd(port: int, count: int, message: bytes = b"", hosts: int = 1) -> Iterator[list[socket.socket]]:
    """Clients of several addresses that send `message` and wait."""
    with ExitStack() as connections:
        yield [
            connections.enter_context(connect(port, message, host=f"127.0.1.{number % hosts + 1}"))
            for number in range(count)
        ]


def heads_of(connection: socket.socket, count: int) -> bytes:
    """Receive until there are `count` responses."""
    response = b""
    while response.count(b"HTTP/1.1 ") < count:
        part = connection.recv(65536)
        assert part, response
        response += part
    return response


def all_of(connection: socket.socket) -> bytes:
    """Receive until the connection is closed."""
    response = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            response += part
    return response


def status_of(connection: socket.socket) -> int:
    return int(all_of(connection).split()[1])


def is_closed(connection: socket.socket) -> bool:
    readable, _, _ = select.select([connection], [], [], 0)
    if not readable:
        return False
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except ConnectionResetError:
        return True


def seconds_to_a_response(port: int) -> float:
    began = time.monotonic()
    with connect(port, request(BODY, "Connection: close")) as connection:
        assert status_of(connection) == 200
    return time.monotonic() - began


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, ServiceProcess]]:
    port = free_port()
    with service(tmp_path_factory.mktemp("crowded"), port, free_port(), API_KEYS="") as process:
        yield port, process


@pytest.fixture
def port(running: tuple[int, ServiceProcess]) -> int:
    return running[0]


HALF_A_HEAD = request(BODY)[:40]
HALF_A_BODY = request(BODY)[:-100]
CROWDS = {
    "200 with half a head": (200, HALF_A_HEAD),
    "200 with half a body": (200, HALF_A_BODY),
    "200 that expect 100 Continue and send nothing more": (200, request(BODY, "Expect: 100-continue")[: -len(BODY)]),
    "100 that do not read their responses": (100, ASSET * 3),
    "1,100 that send nothing": (1100, b""),
    "1,100 with half a head": (1100, HALF_A_HEAD),
}


@pytest.mark.parametrize("hosts", [1, 50])
@pytest.mark.parametrize("name", CROWDS)
def test_a_crowd_does_not_delay_other_clients(port: int, name: str, hosts: int) -> None:
    count, message = CROWDS[name]
    with crowd(port, count, message, hosts):
        assert max(seconds_to_a_response(port) for _ in range(3)) < SOON


def test_a_connection_without_any_bytes_is_closed_soon(port: int) -> None:
    with connect(port) as connection:
        began = time.monotonic()
        assert all_of(connection) == b""
        assert SILENT_SECONDS - 1 < time.monotonic() - began < READ_SECONDS


def test_above_the_limit_of_an_address_its_oldest_silent_connection_is_closed(port: int) -> None:
    with (
        crowd(port, MAX_PER_ADDRESS) as silent,
        connect(port, host="127.0.0.9") as other,
        connect(port, HALF_A_HEAD, host="127.0.1.1"),
    ):
        wait_until(lambda: is_closed(silent[0]), seconds=SILENT_SECONDS / 2)
        assert not any(map(is_closed, [*silent[1:], other]))


def test_behind_a_proxy_an_address_has_no_limit(tmp_path: Path) -> None:
    port = free_port()
    with service(tmp_path, port, free_port(), TRUSTED_PROXIES="1"), crowd(port, MAX_PER_ADDRESS + 50) as silent:
        assert seconds_to_a_response(port) < SOON
        assert not any(map(is_closed, silent))


def test_above_the_limit_of_a_worker_silent_connections_are_closed_first(port: int) -> None:
    with (
        connect(port, request(BODY)) as idle,
        crowd(port, MAX_CONNECTIONS + 50, hosts=10) as silent,
    ):
        heads_of(idle, 1)
        wait_until(lambda: sum(map(is_closed, silent)) >= 50, seconds=SOON)
        assert not is_closed(idle)
        assert seconds_to_a_response(port) < SOON


def test_clients_without_a_key_are_refused_at_once_and_do_not_occupy_threads(tmp_path: Path) -> None:
    port = free_port()
    head = request(b"x" * 10_000_000)[:1000]
    with service(tmp_path, port, free_port(), API_KEYS="shop:" + "k" * 32), crowd(port, 64, head, hosts=64) as clients:
        for client in clients:
            assert heads_of(client, 1).startswith(b"HTTP/1.1 401 ")
        began = time.monotonic()
        with connect(port, request(BODY, "Connection: close", f"X-API-Key: {'k' * 32}")) as connection:
            assert status_of(connection) == 200
        assert time.monotonic() - began < SOON


def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    with connect(port, request(BODY) + request(b"{}") + request(BODY)[:-1]) as connection:
        responses = heads_of(connection, 2)
        connection.sendall(BODY[-1:])
        responses += heads_of(connection, 1)
    assert [part[:3] for part in responses.split(b"HTTP/1.1 ")[1:]] == [b"200", b"422", b"200"]


def test_an_unread_body_is_not_taken_for_the_next_request(port: int) -> None:
    hidden = request(request(BODY), path="/health")
    with connect(port, hidden + b"GET /ready HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n") as connection:
        responses = all_of(connection).split(b"HTTP/1.1 ")[1:]
    assert [part[:3] for part in responses] == [b"405", b"200"]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_client_that_expects_it_gets_one_100_continue(port: int, is_chunked: bool) -> None:
    head, body = request(BODY, "Expect: 100-continue", "Connection: close").split(b"\r\n\r\n")
    if is_chunked:
        head = head.replace(f"Content-Length: {len(BODY)}".encode(), b"Transfer-Encoding: chunked")
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    with connect(port, head + b"\r\n\r\n") as connection:
        assert heads_of(connection, 1) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert all_of(connection).count(b"HTTP/1.1 ") == 1


def test_a_client_with_too_large_a_body_gets_no_100_continue(port: int) -> None:
    head = request(b"x" * 10_000_000, "Expect: 100-continue").split(b"\r\n\r\n")[0]
    with connect(port, head + b"\r\n\r\n") as connection:
        assert heads_of(connection, 1).startswith(b"HTTP/1.1 413 ")


def test_a_slow_reader_gets_the_complete_response(port: int) -> None:
    with connect(port, ASSET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")) as connection:
        head, _, body = all_of(connection).partition(b"\r\n\r\n")
    [length] = [line.split()[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    assert len(body) == int(length) > 500_000


class RecordingWorker(PollingWorker):
    """Records the connections with a request instead of handling them."""

    def __init__(self) -> None:
        super().__init__(0, 0, [], None, 60, Config(), logging.getLogger(__name__))
        self.poller = selectors.DefaultSelector()
        self.requests: list[Connection] = []

    def enqueue_req(self, conn: Connection) -> None:
        self.requests.append(conn)


def test_a_request_that_arrives_while_the_worker_is_busy_is_handled_although_its_time_is_over() -> None:
    worker = RecordingWorker()
    with worker.poller, worker.tmp._tmp, socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with connect(port) as late, connect(port) as silent:
            assert worker.accept(listener) and worker.accept(listener)
            late.sendall(request(BODY))
            assert worker.poller.select(10)  # the request has arrived
            worker._silent.shorten(0.0, time.monotonic() - 1.0)
            worker.murder_pending()
            assert all_of(silent) == b""
            assert [conn.client for conn in worker.requests] == [late.getsockname()]
            worker.requests[0].close()


def test_a_crowd_that_does_not_read_cuts_off_no_small_response() -> None:
    ours, theirs = socket.socketpair()
    with theirs, ClientSocket(ours) as client:
        _unsent.add(MAX_UNSENT_BYTES)  # those of the crowd
        try:
            client.sendall(b"small")
            client.flush()
            assert theirs.recv(10) == b"small"
            with pytest.raises(ConnectionResetError):
                client.sendall(bytes(10_000_000))
        finally:
            _unsent.add(-MAX_UNSENT_BYTES)


def memory_of(process: ServiceProcess) -> int:
    """Return the memory of the master and its workers in bytes."""
    group = subprocess.check_output(["ps", "-o", "rss=", "-g", str(process.pid)], text=True)
    return sum(map(int, group.split())) * 1024


@pytest.mark.parametrize("message", [request(LARGE_BODY)[:-1], ASSET * 3], ids=["large bodies", "large responses"])
def test_the_buffers_of_a_crowd_are_limited(running: tuple[int, ServiceProcess], message: bytes) -> None:
    port, process = running
    idle = memory_of(process)
    with crowd(port, 400, message, hosts=10):
        seconds_to_a_response(port)
        assert memory_of(process) - idle < 200_000_000
