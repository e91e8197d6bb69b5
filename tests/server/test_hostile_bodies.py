"""Bodies that nobody sends by mistake: each gets a clear refusal, costs no memory and leaves no trace."""

from __future__ import annotations

import hmac
import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from factories import make_body
from hostile_requests import PATH, SECRET, Running, order, request, told
from processes import free_port, post, query, service
from smtp_server import smtp_server

from orderconfirm.web import problem_types
from orderconfirm.web.problem_types import ProblemType

pytestmark = pytest.mark.usefixtures("nothing_is_stored_and_nothing_broke")


HOOK = "/api/webhooks/mailtrap"


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
    "10 MB": (b" " * 10_000_000, problem_types.TOO_LARGE, "larger than 1 MiB"),
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
    "10 MB": (BODIES["10 MB"][0], problem_types.TOO_LARGE, "larger than 4 MiB"),
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
