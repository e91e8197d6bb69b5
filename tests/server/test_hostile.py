"""What nobody sends by mistake: each gets a clear refusal, costs no memory, leaves no trace, and holds nobody up."""

from __future__ import annotations

import hmac
import http.client
import json
import os
import select
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from factories import make_body
from fork_server import ServiceProcess
from processes import free_port, post, query, service
from smtp_server import smtp_server

from orderconfirm.server.poller import READ_SECONDS
from orderconfirm.web import problem_types
from orderconfirm.web.auth import WRONG_KEYS_PER_MINUTE
from orderconfirm.web.problem_types import ProblemType

SECRET = "s" * 32
PATH = "/api/order-confirmation"
HOOK = "/api/webhooks/mailtrap"
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


@pytest.fixture(autouse=True)
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


def order_with(name: str, source: bytes) -> bytes:
    """A good order, one field of which is replaced by JSON that json.dumps would never write."""
    return order(**{name: "@"}).replace(b'"@"', source)


DEEP = 100_000
LONG_KEYS = b"{" + b",".join(b'"k%d":0' % number for number in range(60_000)) + b"}"
UNKNOWN_FIELDS = b"".join(b',"%x":0' % number for number in range(100_000)) + b"}"

BODIES: dict[str, tuple[bytes, ProblemType, str]] = {
    "empty": (b"", problem_types.BAD_REQUEST, "not JSON"),
    "blank": (b" \n ", problem_types.BAD_REQUEST, "not JSON"),
    "a byte order mark": (b"\xef\xbb\xbf", problem_types.BAD_REQUEST, "not JSON"),
    "a string": (b'"order"', problem_types.INVALID_ORDER, "must be a JSON object"),
    "a number": (b"12345", problem_types.INVALID_ORDER, "must be a JSON object"),
    "null": (b"null", problem_types.INVALID_ORDER, "must be a JSON object"),
    "a list of orders": (b"[" + order() + b"]", problem_types.INVALID_ORDER, "must be a JSON object"),
    "two orders": (order() + order(), problem_types.BAD_REQUEST, "Extra data"),
    "deep arrays": (b"[" * DEEP, problem_types.BAD_REQUEST, "nested too deep"),
    "deep arrays, closed": (b"[" * DEEP + b"]" * DEEP, problem_types.BAD_REQUEST, "nested too deep"),
    "deep objects": (b'{"a":' * DEEP + b"1" + b"}" * DEEP, problem_types.BAD_REQUEST, "nested too deep"),
    "deep in a field": (order_with("notes", b"[" * DEEP + b"]" * DEEP), problem_types.BAD_REQUEST, "nested too deep"),
    "deep in an unknown field": (
        order_with("x", b"[" * DEEP + b"]" * DEEP),
        problem_types.BAD_REQUEST,
        "nested too deep",
    ),
    "a key twice": (order_with("x", b'1, "total": 1'), problem_types.BAD_REQUEST, "'total' appears twice"),
    "not UTF-8": (order_with("notes", b'"\xff\xfe"'), problem_types.BAD_REQUEST, "not UTF-8"),
    "UTF-16": (order().decode().encode("utf-16"), problem_types.BAD_REQUEST, "not UTF-8"),
    "an overlong slash": (order_with("notes", b'"\xc0\xaf"'), problem_types.BAD_REQUEST, "not UTF-8"),
    "1e400": (order_with("total", b"1e400"), problem_types.INVALID_ORDER, "is too large"),
    "1e-400": (order_with("total", b"1e-400"), problem_types.INVALID_ORDER, "decimals"),
    "1e999999999999": (order_with("total", b"1e9999999999999999999"), problem_types.BAD_REQUEST, "too large"),
    "1e999999999 as the order id": (order_with("order_id", b"1e999999999"), problem_types.BAD_REQUEST, "too large"),
    "0e-999999999 as the order id": (order_with("order_id", b"0e-999999999"), problem_types.BAD_REQUEST, "too small"),
    "1e400 as a quantity": (
        order(items=[{"name": "A", "price": 1, "quantity": "@"}]).replace(b'"@"', b"1e400"),
        *(problem_types.INVALID_ORDER, "is too large"),
    ),
    "5,000 digits": (order_with("total", b"9" * 5000), problem_types.BAD_REQUEST, "too many digits"),
    "500,000 decimals": (
        order_with("total", b"0." + b"9" * 500_000),
        problem_types.INVALID_ORDER,
        "at most 100 decimals",
    ),
    "infinity": (order_with("total", b"Infinity"), problem_types.BAD_REQUEST, "Infinity is not a JSON number"),
    "not a number": (order_with("total", b"NaN"), problem_types.BAD_REQUEST, "NaN is not a JSON number"),
    "a NUL in JSON": (b"\x00" + order(), problem_types.BAD_REQUEST, "not JSON"),
    "a NUL in the order id": (order(order_id="A\x00B"), problem_types.INVALID_ORDER, "must not contain NUL"),
    "a NUL in a text": (order(notes="A\x00B"), problem_types.INVALID_ORDER, "must not contain NUL"),
    "a NUL in the address": (
        order(customer={"name": "A", "email": "a\x00@b.example"}),
        *(problem_types.INVALID_ORDER, "must not contain NUL"),
    ),
    "a line break in the order id": (
        order(order_id="A\r\nBcc: x@y.example"),
        problem_types.INVALID_ORDER,
        "line breaks",
    ),
    "a lone surrogate in the order id": (
        order_with("order_id", rb'"\ud800"'),
        problem_types.INVALID_ORDER,
        "control characters",
    ),
    "501 items": (order(items=make_body()["items"] * 251), problem_types.INVALID_ORDER, "1 to 500 entries"),
    "100,000 bad items": (order(items=[1] * 100_000), problem_types.INVALID_ORDER, "1 to 500 entries"),
    "a time of 900,000 blanks": (
        order(order_date="2025" + " " * 900_000 + "x"),
        *(problem_types.INVALID_ORDER, "must be an ISO 8601 time"),
    ),
    "300,000 bad adjustments": (order(adjustments=[0] * 300_000), problem_types.INVALID_ORDER, "at most 50 entries"),
    "500 empty items": (order(items=[{}] * 500), problem_types.INVALID_ORDER, "1500 errors, of which 100 are listed"),
    "60,000 keys": (LONG_KEYS, problem_types.INVALID_ORDER, "4 errors"),
    "100,000 unknown fields": (
        order(total=-1)[:-1] + UNKNOWN_FIELDS,
        problem_types.INVALID_ORDER,
        "must not be negative",
    ),
    "10 MB": (b" " * 10_000_000, problem_types.TOO_LARGE, "more than 1 MiB"),
    "1 MiB of text": (order(notes="x" * 1_000_000), problem_types.INVALID_ORDER, "at most 2000 characters"),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("path", [PATH, f"{PATH}/preview"])
def test_a_hostile_body_is_refused_with_a_reason(running: Running, path: str, name: str) -> None:
    body, kind, words = BODIES[name]
    problem = told(running.ask(request(body, path)))
    assert problem["type"] == kind.type
    assert words in json.dumps(problem)
    assert len(json.dumps(problem)) < 20_000


READ_BY_RESEND = [
    name for name, (_, kind, _) in BODIES.items() if kind is not problem_types.INVALID_ORDER and name != "empty"
]


@pytest.mark.parametrize("name", READ_BY_RESEND)
def test_a_hostile_resend_is_refused_before_its_order_is_looked_for(running: Running, name: str) -> None:
    body, kind, words = BODIES[name]
    problem = told(running.ask(request(body, f"{PATH}/ORD-12345/resend")))
    assert problem["type"] == kind.type
    assert words in problem["detail"]


EVENTS: dict[str, tuple[bytes, ProblemType, str]] = {
    **{name: BODIES[name] for name in ("empty", "deep arrays", "deep objects")},
    "UTF-16": (BODIES["UTF-16"][0], problem_types.BAD_REQUEST, "not JSON"),
    "10 MB": (BODIES["10 MB"][0], problem_types.TOO_LARGE, "more than 4 MiB"),
    "a NUL in JSON": BODIES["a NUL in JSON"],
    "a list": (b'["open"]', problem_types.BAD_REQUEST, "must be a JSON object"),
    "1,001 events": (b'{"events":[' + b",".join([b"{}"] * 1001) + b"]}", problem_types.BAD_REQUEST, "at most 1000"),
    "300,000 lines": (b"{}\n" * 300_000, problem_types.BAD_REQUEST, "300000 events: send at most 1000"),
    "lines that are too deep": (b"[" * DEEP + b"\n" + b"[" * DEEP, problem_types.BAD_REQUEST, "must be a JSON object"),
}


@pytest.mark.parametrize("path", [PATH, f"{PATH}/preview", HOOK])
def test_a_caller_that_reads_nothing_before_all_its_10_mb_are_sent_is_answered(running: Running, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
    connection.request("POST", path, BODIES["10 MB"][0], {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert (answer.status, json.load(answer)["type"]) == (413, problem_types.TOO_LARGE.type)
    connection.close()


@pytest.mark.parametrize("name", EVENTS)
def test_a_hostile_webhook_is_refused_although_it_is_signed(running: Running, name: str) -> None:
    body, kind, words = EVENTS[name]
    signature = hmac.new(SECRET.encode(), body, sha256).hexdigest()
    problem = told(running.ask(request(body, HOOK, f"Mailtrap-Signature: {signature}")))
    assert problem["type"] == kind.type
    assert words in problem["detail"]


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
    "10 MB in chunks": (in_chunks(chunked(b" " * 10_000_000)), problem_types.TOO_LARGE, "more than 1 MiB"),
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
    "a length of 100 digits": (request(order(), length="9" * 100), problem_types.TOO_LARGE, "more than 1 MiB"),
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


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's memory in /proc")
def test_its_memory_stays_flat(running: Running) -> None:
    """Each thread keeps a little for the largest body that it has read; once all have read one, nothing is added."""
    names = ("10 MB", "1 MiB of text", "60,000 keys", "deep objects", "100,000 bad items", "500,000 decimals")

    def mistreat() -> int:
        with ThreadPoolExecutor(32) as threads:
            for problem in threads.map(lambda name: told(running.ask(request(BODIES[name][0]))), names * 32):
                assert problem["status"] in (400, 413, 422)
        return running.memory()

    idle = running.memory()
    warm = mistreat()
    assert warm - idle < 100_000_000
    assert max(mistreat() for _ in range(3)) - warm < 40_000_000
    assert running.peak() < 250_000_000


def test_a_good_order_is_taken_and_sent_after_all_of_it(tmp_path: Path) -> None:
    port = free_port()
    with smtp_server() as (sink, relay_port), service(tmp_path, port, relay_port) as process:
        running = Running(port, tmp_path, process)
        for body, _, _ in BODIES.values():
            told(running.ask(request(body)))
        assert post(port, "GOOD") == 202
        sink.wait_for(1)
    assert query(tmp_path, "SELECT order_id FROM outbox") == [("GOOD",)]
