"""gunicorn's threaded worker, for callers that do not mean well: they get a limit of time, and our kind of answer."""

from __future__ import annotations

import errno
import json
import math
import select
import socket
import threading
import time
from contextlib import suppress
from typing import Any
from uuid import uuid4

from gunicorn.http import errors
from gunicorn.workers.gthread import _DEFER, ThreadWorker

#: Seconds that a request, its head and its body, may take to come in; and its answer, to go out.
READ_SECONDS = 10.0
WRITE_SECONDS = 30.0
#: Seconds, and bytes, for what still comes in when the answer is out (RFC 9112 section 9.6): many callers read their
#: answer only once their whole body has left, however large.
LINGER_SECONDS = 5.0
LINGER_BYTES = 32 * 1024 * 1024
#: Bytes of a body that nobody read for which the connection is kept.
UNREAD_BYTES = 65536
#: Seconds that a thread waits for any caller. It waits longer only with a seat, and a quarter of the threads has none:
#: however many are slow, those who are not find a thread.
MOMENT = 0.25


class TimedSocket(socket.socket):
    """A connection that is waited for with patience, which has an end. One that is too slow counts as lost."""

    def __init__(self, connection: socket.socket, seats: threading.BoundedSemaphore) -> None:
        super().__init__(fileno=connection.detach())
        self._seats = seats
        self.allow(READ_SECONDS)

    def allow(self, seconds: float, is_answered: bool = False) -> None:
        """Start the clock for what comes next."""
        now = time.monotonic()
        self._moment_ends, self._ends = now + MOMENT, now + seconds
        self._is_answered = is_answered

    def recv(self, size: int, flags: int = 0) -> bytes:
        with suppress(BlockingIOError):
            return super().recv(size, flags | socket.MSG_DONTWAIT)
        self._wait(select.POLLIN)
        return super().recv(size, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        if not self._is_answered:
            self.allow(WRITE_SECONDS, is_answered=True)
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self.send(rest, flags | socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                self._wait(select.POLLOUT)

    def _wait(self, event: int) -> None:
        if self._comes(event, self._moment_ends):
            return
        if self._seats.acquire(blocking=False):
            try:
                if self._comes(event, self._ends):
                    return
            finally:
                self._seats.release()
        # gunicorn takes this one for a caller that went away, which is no mistake of ours to be logged.
        raise ConnectionResetError(errno.ECONNRESET, "the caller is too slow")

    def _comes(self, event: int, end: float) -> bool:
        poll = select.poll()
        poll.register(self, event)
        return bool(poll.poll(max(0, math.ceil((end - time.monotonic()) * 1000))))


class Worker(ThreadWorker):  # type: ignore[misc]
    """A request that does not come in whole in time is read no further; its thread is free for others."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._seats = threading.BoundedSemaphore(max(1, self.cfg.threads * 3 // 4))

    def handle(self, conn: Any) -> Any:
        """gunicorn's, which has no limits, with ours."""
        if not isinstance(conn.sock, TimedSocket):
            conn.sock = TimedSocket(conn.sock, self._seats)
            # gunicorn would keep this thread for 5 seconds, waiting for a caller that says nothing at all.
            if not conn.wait_for_data(MOMENT):
                return _DEFER
        conn.sock.allow(READ_SECONDS)
        goes_on = super().handle(conn)
        if goes_on is False:
            _linger(conn.sock)
        return goes_on

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        """What the application did not read of the body is read here; as it is answered, it is not refused any more."""
        try:
            return bool(keepalive and conn.parser.finish_body(max_bytes=UNREAD_BYTES))
        except errors.ParseException:
            return False

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """What is not HTTP never reaches the application; it gets a problem all the same."""
        if not isinstance(exc, errors.ParseException):
            super().handle_error(req, client, addr, exc)
            return
        request_id = uuid4().hex
        self.log.warning("a request that is not HTTP: %s (request %s)", type(exc).__name__, request_id)
        with suppress(OSError):
            client.sendall(_refusal(exc, request_id))


def _linger(caller: TimedSocket) -> None:
    """Read to the end, lest the answer be lost with what is left. gunicorn does this while all other callers wait."""
    caller.allow(LINGER_SECONDS)
    read = 0
    with suppress(OSError):
        caller.shutdown(socket.SHUT_WR)
        while read < LINGER_BYTES and (part := caller.recv(UNREAD_BYTES)):
            read += len(part)
    with suppress(OSError):
        caller.shutdown(socket.SHUT_RDWR)  # gunicorn, which closes it, finds nothing to wait for


def _refusal(exc: Exception, request_id: str) -> bytes:
    # Imported here: gunicorn's master reads this module too, and needs nothing of the application.
    from orderconfirm.web import problem_types

    if isinstance(exc, errors.LimitRequestLine):
        kind = problem_types.URI_TOO_LONG
    elif isinstance(exc, errors.LimitRequestHeaders):
        kind = problem_types.HEADERS_TOO_LARGE
    else:
        kind = problem_types.BAD_REQUEST
    is_bad = kind is problem_types.BAD_REQUEST
    detail = f"The request is not HTTP as RFC 9112 has it: {str(exc)[:200]}." if is_bad else kind.detail
    body = json.dumps({**kind.example, "detail": detail}).encode()
    head = (
        f"HTTP/1.1 {kind.status} {kind.title}",
        "Connection: close",
        f"Content-Type: {problem_types.MIMETYPE}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        f"X-Request-ID: {request_id}",
    )
    return "\r\n".join((*head, "", "")).encode() + body
