"""Messages that nobody sends by mistake: each gets a clear refusal, leaves no trace, and holds nobody up."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from hostile_requests import PATH, TIMEOUT, Running, all_of, order, request, told
from processes import free_port, service
from smtp_server import smtp_server

from orderconfirm.server.poller import READ_SECONDS
from orderconfirm.web import problem_types
from orderconfirm.web.auth import WRONG_KEYS_PER_MINUTE
from orderconfirm.web.problem_types import ProblemType

pytestmark = pytest.mark.usefixtures("nothing_is_stored_and_nothing_broke")


def chunked(body: bytes, size: int = 65536) -> bytes:
    parts = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize("length", ["as it is", "none"])
def test_a_body_may_have_1_mib_and_not_one_byte_more(running: Running, length: str) -> None:
    body = order() + b" " * (2**20 - len(order()))
    for each, status in ((body, b"200"), (body + b" ", b"413")):
        sent = chunked(each) if length == "none" else each
        headers = (CHUNKED,) if length == "none" else ()
        answer = running.ask(request(sent, f"{PATH}/preview", *headers, length="none" if headers else None))
        assert answer.split(b" ", 2)[1] == status


LATIN_1 = order(notes="@").replace(b"@", b"\xe4")


def in_chunks(body: bytes) -> bytes:
    return request(body, PATH, CHUNKED, length="none")


def to_host(header: bytes) -> bytes:
    return request(order()).replace(b"Host: shop", header)


MESSAGES: dict[str, tuple[bytes, ProblemType, str]] = {
    "10 MB in chunks": (in_chunks(chunked(b" " * 10_000_000)), problem_types.TOO_LARGE, "larger than 1 MiB"),
    "a bad chunk": (in_chunks(b"zz\r\n{}\r\n0\r\n\r\n"), problem_types.BAD_REQUEST, "chunked"),
    "an endless chunk size": (in_chunks(b"1" * 100_000), problem_types.BAD_REQUEST, "chunked"),
    "a chunk without its end": (in_chunks(b"2\r\n{}xx0\r\n\r\n"), problem_types.BAD_REQUEST, "chunked"),
    "chunks without their end": (
        in_chunks(chunked(order())[:-5]),
        problem_types.REQUEST_TIMEOUT,
        "did not arrive completely",
    ),
    "a bad trailer": (in_chunks(chunked(order())[:-2] + b"x\r\n\r\n"), problem_types.BAD_REQUEST, "chunked"),
    "a length that is no number": (request(order(), length="many"), problem_types.BAD_REQUEST, "CONTENT-LENGTH"),
    "a length below zero": (request(order(), length="-1"), problem_types.BAD_REQUEST, "CONTENT-LENGTH"),
    "a length of 100 digits": (request(order(), length="9" * 100), problem_types.TOO_LARGE, "larger than 1 MiB"),
    "two lengths": (request(order(), PATH, "Content-Length: 3"), problem_types.BAD_REQUEST, "CONTENT-LENGTH"),
    "a length and chunks": (request(order(), PATH, CHUNKED), problem_types.BAD_REQUEST, "CONTENT-LENGTH"),
    "a length that is too small": (request(order(), length=20), problem_types.BAD_REQUEST, "not JSON"),
    "a length that is too large": (
        request(order(), length=10_000),
        problem_types.REQUEST_TIMEOUT,
        "did not arrive completely",
    ),
    "an unknown coding": (
        request(order(), PATH, "Transfer-Encoding: gzip"),
        problem_types.BAD_REQUEST,
        "TRANSFER-ENCODING",
    ),
    "an expectation": (request(order(), PATH, "Expect: money"), problem_types.BAD_REQUEST, "expectation: 'money'"),
    "zipped": (request(b"\x1f\x8b\x08", PATH, "Content-Encoding: gzip"), problem_types.UNSUPPORTED, "gzip"),
    "said to be zipped": (request(order(), PATH, "Content-Encoding: br"), problem_types.UNSUPPORTED, "br"),
    "Latin-1": (request(LATIN_1, kind="application/json; charset=iso-8859-1"), problem_types.BAD_REQUEST, "not UTF-8"),
    "a form": (
        request(b"a=b", kind="application/x-www-form-urlencoded"),
        problem_types.UNSUPPORTED,
        "application/json",
    ),
    "a type with a NUL": (request(order(), kind="application/json\x00"), problem_types.BAD_REQUEST, "CONTENT-TYPE"),
    "no type": (request(order(), kind=""), problem_types.UNSUPPORTED, "application/json"),
    "a header of 20 kB": (
        request(order(), PATH, "X-A: " + "a" * 20_000),
        problem_types.HEADERS_TOO_LARGE,
        "8,190 bytes",
    ),
    "a header of 1 MB": (
        request(order(), PATH, "X-A: " + "a" * 1_000_000),
        problem_types.HEADERS_TOO_LARGE,
        "8,190 bytes",
    ),
    "101 headers": (request(order(), PATH, *["X-A: b"] * 101), problem_types.HEADERS_TOO_LARGE, "100 headers"),
    "100,000 headers": (request(order(), PATH, *["X-A: b"] * 100_000), problem_types.HEADERS_TOO_LARGE, "100 headers"),
    "a NUL in a header": (request(order(), PATH, "X-Request-ID: a\x00b"), problem_types.BAD_REQUEST, "X-REQUEST-ID"),
    "a query of 20 kB": (request(b"", f"{PATH}s?state={'a' * 20_000}"), problem_types.URI_TOO_LONG, "8,190 bytes"),
    "a path of 1 MB": (request(b"", f"{PATH}/{'a' * 1_000_000}/cancel"), problem_types.URI_TOO_LONG, "8,190 bytes"),
    "a NUL in a path": (request(b"", f"{PATH}/a%00b/cancel"), problem_types.NOT_FOUND, "cannot contain a NUL"),
    "a bare NUL in a path": (request(b"", f"{PATH}/a\x00b/cancel"), problem_types.BAD_REQUEST, "request line"),
    "a path that is not UTF-8": (request(b"", f"{PATH}/%ff%fe/cancel"), problem_types.NOT_FOUND, "No order"),
    "a way up": (request(b"", f"{PATH}/../../../etc/passwd/cancel"), problem_types.NOT_FOUND, "No order"),
    "an order id of 4 kB": (request(b"", f"{PATH}/{'a' * 4000}/resend"), problem_types.NOT_FOUND, "No order"),
    "the name of another site": (to_host(b"Host: evil.example"), problem_types.MISDIRECTED, "Set API_KEYS"),
    "two hosts": (to_host(b"Host: shop\r\nHost: evil.example"), problem_types.BAD_REQUEST, "HOST"),
    "no host": (to_host(b"X-Host: shop"), problem_types.MISDIRECTED, "Set API_KEYS"),
    "no host in HTTP/1.0": (b"GET /health HTTP/1.0\r\n\r\n", problem_types.MISDIRECTED, "Set API_KEYS"),
    "TLS": (
        bytes.fromhex("16030100f8010000f4") + b"\x00" * 64 + b"\r\n\r\n",
        problem_types.BAD_REQUEST,
        "request line",
    ),
    "a request line of words": (b"give me an order\r\n\r\n", problem_types.BAD_REQUEST, "'give'"),
    "a line that ends early": (b"GET /health HTTP/1.1\nHost: shop\n\n", problem_types.BAD_REQUEST, "bare LF"),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_hostile_message_is_refused_with_a_problem(running: Running, name: str) -> None:
    message, kind, words = MESSAGES[name]
    problem = told(running.ask(message, ends=True))
    assert problem["type"] == kind.type
    assert words in problem["detail"]
    # These two never reach the application.
    if kind in (problem_types.URI_TOO_LONG, problem_types.HEADERS_TOO_LARGE):
        assert problem == kind.example


def test_a_bad_body_that_nobody_asked_for_gets_no_second_answer(running: Running) -> None:
    answer = running.ask(f"GET /health HTTP/1.1\r\nHost: shop\r\n{CHUNKED}\r\n\r\nzz\r\n".encode())
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("query", ["email=%00", "cursor=%00", "state=%00", "state=%ff", "since=1e400", "limit=1e400"])
def test_a_hostile_query_is_refused_with_a_reason(running: Running, query: str) -> None:
    answer = running.ask(f"GET {PATH}s?{query} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n".encode())
    problem = told(answer)
    assert problem["type"] == problem_types.INVALID_REQUEST.type
    assert problem["errors"][0]["pointer"] == "/" + query.split("=")[0]


@pytest.mark.parametrize(
    "path", ["a%00b", "%ff%fe", "..%2f..%2fetc%2fpasswd", "a" * 4000, "%F0%9F%9A%B2", "'%20OR%201=1--"]
)
def test_an_order_that_cannot_be_is_not_found(running: Running, path: str) -> None:
    answer = running.ask(f"GET {PATH}/{path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n".encode())
    assert told(answer)["type"] == problem_types.NOT_FOUND.type


HEAD, BODY = request(order(), f"{PATH}/preview").split(b"\r\n\r\n")
ASSET = b"GET /static/vendor/redoc-3.0.1/redoc.standalone.js HTTP/1.1\r\nHost: shop\r\n\r\n"
#: More of each than there are threads.
TIRESOME: dict[str, list[bytes]] = {
    "who say nothing": [b""] * 40,
    "with half a head": [HEAD[:40]] * 40,
    "with half a body": [HEAD + b"\r\n\r\n" + BODY[:-100]] * 40,
    "with half of both": [HEAD[:40], HEAD + b"\r\n\r\n" + BODY[:-100]] * 20,
    "who do not read their answers": [ASSET * 3] * 40,
    "who do not close": [b"GET /health HTTP/1.0\r\n\r\n"] * 40,
    "who talk nonsense": [b"nonsense\r\n\r\n"] * 40,
}


@contextmanager
def callers(running: Running, messages: list[bytes]) -> Iterator[list[socket.socket]]:
    with ExitStack() as connections:
        yield [connections.enter_context(caller(running.port, message)) for message in messages]


def caller(port: int, message: bytes) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # what it does not read stays with the service
    connection.settimeout(TIMEOUT)
    connection.connect(("127.0.0.1", port))
    connection.sendall(message)
    return connection


@pytest.mark.parametrize("kind", TIRESOME)
def test_callers_hold_nobody_up(running: Running, kind: str) -> None:
    with callers(running, TIRESOME[kind]):
        began = time.monotonic()
        for _ in range(3):
            assert b"200 OK" in running.ask(HEAD + b"\r\n\r\n" + BODY)
        # They have 10 seconds themselves; so much sooner others get through.
        assert time.monotonic() - began < READ_SECONDS / 2


def test_callers_without_a_key_hold_nobody_up_with_long_paths(tmp_path: Path) -> None:
    """Their paths look like the beginning of an address again and again."""
    path = "/api/order-confirmation/" + "a" * 8000 + "%20@"
    bad = f"GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n".encode()
    good = b"GET /health HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
    port = free_port()
    with (
        smtp_server() as (_, relay_port),
        service(tmp_path, port, relay_port, API_KEYS="shop:a-long-random-key") as process,
    ):
        running = Running(port, tmp_path, process)
        with callers(running, [bad * 5] * 40):
            began = time.monotonic()
            for _ in range(3):
                assert b"200 OK" in running.ask(good)
            assert time.monotonic() - began < READ_SECONDS / 2
    log = (tmp_path / "service.log").read_text()
    assert log.count("request without a valid API key") == WRONG_KEYS_PER_MINUTE + 1
    assert "aaaa" not in log


def test_a_body_that_comes_byte_by_byte_ends_in_time_all_the_same(running: Running) -> None:
    """None of its pauses is long."""
    with callers(running, [HEAD + b"\r\n\r\n" + BODY[:100]] * 40) as slow:
        waiting, kinds_told, began = list(slow), set(), time.monotonic()
        while waiting:
            assert time.monotonic() - began < TIMEOUT
            answered, _, _ = select.select(waiting, [], [], 0.2)
            kinds_told |= {told(all_of(connection))["type"] for connection in answered}
            waiting = [connection for connection in waiting if connection not in answered]
            for connection in waiting:
                with suppress(OSError):
                    connection.sendall(b" ")
    assert kinds_told == {problem_types.REQUEST_TIMEOUT.type}
