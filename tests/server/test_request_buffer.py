"""The end of a request, received in pieces of any size, is the one that gunicorn's parser finds."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from gunicorn.http.parser import RequestParser

from orderconfirm.limits import MAX_BODY_BYTES, MAX_HEAD_BYTES, MAX_WEBHOOK_BODY_BYTES
from orderconfirm.server.request_buffer import MAX_BUFFERED_BODY_BYTES, MAX_CHUNKED_BYTES, RequestBuffer

NEXT = b"GET /next HTTP/1.1\r\nHost: shop\r\n\r\n"


def posted(*fields: str, body: bytes = b"") -> bytes:
    return "\r\n".join(("POST / HTTP/1.1", "Host: shop", *fields, "", "")).encode() + body


CHUNKED = "Transfer-Encoding: chunked"
COMPLETE = {
    "without a body": posted(),
    "with a length": posted("Content-Length: 5", body=b"hello"),
    "with an empty body": posted("Content-Length: 0"),
    "with a length in mixed case and with blanks": posted("cONTENT-lENGTH: \t 5 \t", body=b"hello"),
    "with a body that looks like a head": posted("Content-Length: 16", body=b"\r\n\r\nA: b\r\n\r\n\r\n\r\n"),
    "in chunks": posted(CHUNKED, body=b"5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n"),
    "in chunks that have extensions": posted(CHUNKED, body=b'5 ;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n'),
    "in chunks with trailers": posted(CHUNKED, body=b"5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n"),
    "with only the last chunk": posted(CHUNKED, body=b"000\r\n\r\n"),
    "with several codings": posted("Transfer-Encoding: gzip, chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
    "with codings in several headers": posted("Transfer-Encoding: gzip", CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n"),
    "after an empty line": b"\r\n" + posted("Content-Length: 5", body=b"hello"),
    "without headers": b"GET / HTTP/1.0\r\n\r\n",
}


def fed(pieces: Iterable[bytes]) -> RequestBuffer:
    buffer = RequestBuffer()
    for piece in pieces:
        buffer.feed(piece)
    return buffer


def one_by_one(source: bytes) -> list[bytes]:
    return [source[at : at + 1] for at in range(len(source))]


def all_of(buffer: RequestBuffer) -> bytes:
    return b"".join(iter(lambda: buffer.read(3), b""))


@pytest.mark.parametrize("name", COMPLETE)
def test_a_request_is_complete_with_its_last_byte(name: str) -> None:
    pieces = one_by_one(COMPLETE[name])
    buffer = fed(pieces[:-1])
    assert not buffer.is_ready
    buffer.feed(pieces[-1])
    assert buffer.is_ready and buffer.is_complete
    assert all_of(buffer) == COMPLETE[name]


@pytest.mark.parametrize("name", COMPLETE)
def test_a_request_ends_where_gunicorn_s_parser_ends_it(name: str) -> None:
    source = iter(one_by_one(COMPLETE[name] + NEXT))
    parser = RequestParser(Config(), source, ("127.0.0.1", 1))
    next(parser).body.read()
    assert parser.unreader.take_buffered() + b"".join(source) == NEXT
    buffer = fed([COMPLETE[name] + NEXT])
    assert all_of(buffer) == COMPLETE[name]
    buffer.next()
    assert buffer.is_complete
    assert all_of(buffer) == NEXT


@pytest.mark.parametrize("name", COMPLETE)
def test_the_beginning_of_the_next_request_is_kept(name: str) -> None:
    buffer = fed([COMPLETE[name] + NEXT[:9]])
    all_of(buffer)
    buffer.next()
    assert not buffer.is_ready
    buffer.feed(NEXT[9:])
    assert buffer.is_complete
    assert all_of(buffer) == NEXT


REFUSED = {
    "a bare line feed": b"GET / HTTP/1.1\nHost: shop\n",
    "two lengths": posted("Content-Length: 3", "Content-Length: 5"),
    "a length and chunks": posted("Content-Length: 5", CHUNKED),
    "a length that is not a number": posted("Content-Length: many"),
    "a length of 5,000 digits": posted("Content-Length: " + "9" * 5000),
    "a coding that is not chunked": posted("Transfer-Encoding: gzip"),
    "a negative chunk size": posted(CHUNKED, body=b"-1\r\n"),
    "an endless chunk size": posted(CHUNKED, body=b"1" * 9000),
    "a chunk without its end": posted(CHUNKED, body=b"2\r\n{}xx"),
    "a head that is too large": posted("A: " + "a" * MAX_HEAD_BYTES)[:-2],
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_that_gunicorn_refuses_is_ready_at_once(name: str) -> None:
    buffer = fed([REFUSED[name]])
    assert buffer.is_ready
    if not buffer.is_head_too_large:
        with pytest.raises((ParseException, OSError)):
            body = next(RequestParser(Config(), iter([all_of(buffer)]), ("127.0.0.1", 1))).body
            if not body.read():
                raise OSError  # the body is shorter than its length


def test_a_body_beyond_every_limit_is_not_collected() -> None:
    assert max(MAX_BODY_BYTES, MAX_WEBHOOK_BODY_BYTES) <= MAX_BUFFERED_BODY_BYTES
    assert fed([posted(f"Content-Length: {MAX_BUFFERED_BODY_BYTES + 1}")]).is_ready
    assert not fed([posted(f"Content-Length: {MAX_BUFFERED_BODY_BYTES}")]).is_ready
    endless = fed([posted(CHUNKED)])
    count = 0
    while not endless.is_ready:
        endless.feed(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        count += 1
    assert MAX_BUFFERED_BODY_BYTES < count * 0x10000 <= MAX_CHUNKED_BYTES
    assert not endless.is_complete


def test_drop_body_keeps_only_the_head() -> None:
    head = posted("Content-Length: 5")
    buffer = fed([head + b"hell"])
    buffer.drop_body()
    assert (buffer.is_ready, buffer.is_complete) == (True, False)
    assert all_of(buffer) == head


def test_an_expectation_of_100_continue_is_recognised() -> None:
    expectation = ("Content-Length: 5", "expect: 100-CONTINUE")
    assert fed([posted(*expectation)]).expects_continue
    assert not fed([posted(*expectation).replace(b"HTTP/1.1", b"HTTP/1.0")]).expects_continue
    assert not fed([posted("Content-Length: 5", "Expect: money")]).expects_continue


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"GET / HTTP/1.1\r\nA: ", b"a"),
        (posted(f"Content-Length: {MAX_BUFFERED_BODY_BYTES}"), b"a"),
        (posted(CHUNKED, body=b"100000\r\n"), b"a"),
        (posted(CHUNKED), b"1\r\na\r\n"),
    ],
    ids=["a head", "a body", "a chunk", "chunks"],
)
def test_the_cost_of_a_byte_does_not_grow_with_the_request(start: bytes, piece: bytes) -> None:
    def cost(count: int) -> float:
        def once() -> float:
            buffer = fed([start])
            started_at = time.thread_time()
            for _ in range(count):
                buffer.feed(piece)
            return time.thread_time() - started_at

        return min(once() for _ in range(5))

    assert cost(32_000) < 8 * cost(8_000)
