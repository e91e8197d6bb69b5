"""A gunicorn worker whose poller receives requests and sends responses, so that no thread waits for a client.

A connection is silent until its first bytes, then receiving. A thread handles the complete request. The connection is
sending until the client has the response, and then idle until the next request, or lingering until it is closed.
"""

from __future__ import annotations

import errno
import socket
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import chain
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from orderconfirm.server.connections import Connection, Phase

#: Seconds for the first bytes of a new client, for a complete request, and for sending a response.
SILENT_SECONDS = 5.0
READ_SECONDS = 10.0
WRITE_SECONDS = 30.0
#: Limits of what is still received after the last response (RFC 9112 section 9.6), because many clients read a
#: response only after they have sent their whole body.
LINGER_SECONDS = 5.0
LINGER_BYTES = 32 * 1024 * 1024
#: Maximum seconds of each phase once the service stops.
STOP_SECONDS = 2.0
#: Bytes of buffered requests and responses of all clients together. The sum is checked only when a client has more
#: than MIN_CHECKED_BYTES.
MAX_BUFFERED_BYTES = 64 * 1024 * 1024
MIN_CHECKED_BYTES = 128 * 1024


class PollingWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker with limits on the time, connections and memory that clients use.

    `max_per_address` is the maximum number of connections from one address; None for no limit.
    """

    max_per_address: int | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._silent = Phase(SILENT_SECONDS, EVENT_READ, self._receive)
        self._receiving = Phase(READ_SECONDS, EVENT_READ, self._receive)
        self._sending = Phase(WRITE_SECONDS, EVENT_WRITE, self._send)
        self._idle = Phase(self.cfg.keepalive, EVENT_READ, self._receive)
        self._lingering = Phase(LINGER_SECONDS, EVENT_READ, self._discard)
        #: In the order in which connections are closed to make room for new ones.
        self._phases = (self._silent, self._lingering, self._idle, self._receiving, self._sending)
        self._connections: set[Connection] = set()
        self._per_address: Counter[str | None] = Counter()

    def accept(self, listener: Any) -> bool:
        """Accept a connection, closing the oldest waiting one if there are too many. Returns False if there is none."""
        try:
            sock, client = listener.accept()
        except OSError as exc:
            if exc.errno not in (errno.EAGAIN, errno.ECONNABORTED):
                raise
            return False
        conn = Connection(self.cfg, sock, client, listener.getsockname())
        self.nr_conns += 1
        self._connections.add(conn)
        self._per_address[conn.address] += 1
        if self.nr_conns >= self.worker_connections:
            self._close_oldest(lambda _: True)
        self._wait(conn, self._silent)
        if self.max_per_address and conn.address and self._per_address[conn.address] > self.max_per_address:
            self._close_oldest(lambda other: other.address == conn.address)
        self._proceed(conn)  # its first bytes may have arrived already
        return True

    def finish_request(self, conn: Connection, fs: Any) -> None:
        """Send the response of a request that a thread has handled."""
        conn.is_keepalive = fs.exception() is None and bool(fs.result())
        self._attempt(self._send, conn)

    def murder_pending(self) -> None:
        """Abort overdue connections. gunicorn calls this after each poll, at least once a second.

        On a busy machine a poll may take seconds, so what has arrived or can be sent meanwhile is handled first.
        """
        now = time.monotonic()
        for phase in self._phases:
            for conn in phase.overdue(now):
                self._proceed(conn)
                if conn.phase is phase:
                    self._abort(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """Shorten all timeouts for the stop.

        gunicorn calls this once after it stops accepting, and then polls until no connection is left.
        """
        for listener in self.sockets:
            # Closing the listener would reset connections that are not accepted yet.
            for _ in range(self.worker_connections):
                if not self.accept(listener):
                    break
            listener.close()
        now = time.monotonic()
        for phase in self._phases:
            phase.shorten(0.0 if phase in (self._silent, self._idle) else STOP_SECONDS, now)

    def _proceed(self, conn: Connection, _: Any = None) -> None:
        if conn.phase:  # None if it was closed after the poll to make room for another one
            self._attempt(conn.phase.proceed, conn)

    def _attempt(self, step: Callable[[Connection], None], conn: Connection) -> None:
        try:
            step(conn)
        except BlockingIOError:
            pass
        except OSError:
            self._close(conn)
        except Exception:
            self.log.exception("a connection failed")  # other connections continue
            self._close(conn)

    def _receive(self, conn: Connection) -> None:
        request = conn.sock.incoming
        if part := conn.sock.receive():
            request.feed(part)
        elif len(request):
            request.end()
        else:
            self._close(conn)
            return
        self._handle_or_collect(conn)

    def _handle_or_collect(self, conn: Connection) -> None:
        request = conn.sock.incoming
        if request.is_ready:
            self._leave_phase(conn)
            self.enqueue_req(conn)
            return
        if request.expects_continue:
            request.expects_continue = False
            conn.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            conn.sock.flush()
        self._wait(conn, self._receiving if len(request) else self._idle)
        self._limit_buffers(conn)

    def _send(self, conn: Connection) -> None:
        if conn.sock.outgoing:
            conn.sock.flush()
        if conn.sock.outgoing:
            self._wait(conn, self._sending)
            self._limit_buffers(conn)
        elif conn.is_keepalive:
            conn.sock.incoming.next()
            self._handle_or_collect(conn)
        else:
            conn.sock.shutdown(socket.SHUT_WR)
            self._wait(conn, self._lingering)

    def _discard(self, conn: Connection) -> None:
        part = conn.sock.receive()
        conn.discarded_bytes += len(part)
        if not part or conn.discarded_bytes > LINGER_BYTES:
            self._close(conn)

    def _wait(self, conn: Connection, phase: Phase) -> None:
        if conn.phase is phase:
            return
        self._leave_phase(conn)
        conn.phase = phase
        phase.add(conn, time.monotonic())
        self.poller.register(conn.sock, phase.event, partial(self._proceed, conn))

    def _leave_phase(self, conn: Connection) -> None:
        if conn.phase:
            conn.phase.remove(conn)
            conn.phase = None
            self.poller.unregister(conn.sock)

    def _abort(self, conn: Connection) -> None:
        """Let a thread refuse an incomplete request, or close the connection."""
        if conn.phase is self._receiving:
            conn.sock.incoming.drop_body()
            self._handle_or_collect(conn)
        else:
            self._close(conn)

    def _limit_buffers(self, conn: Connection) -> None:
        """Abort the connection with the largest buffers when all of them together exceed the limit."""
        if (
            conn.buffered_bytes > MIN_CHECKED_BYTES
            and sum(each.buffered_bytes for each in self._connections) > MAX_BUFFERED_BYTES
        ):
            self._abort(max(chain(self._receiving, self._sending), key=lambda each: each.buffered_bytes))

    def _close_oldest(self, matches: Callable[[Connection], bool]) -> None:
        if oldest := next(filter(matches, chain(*self._phases)), None):
            self._close(oldest)

    def _close(self, conn: Connection) -> None:
        self._leave_phase(conn)
        self._connections.remove(conn)
        self._per_address[conn.address] -= 1
        if not self._per_address[conn.address]:
            del self._per_address[conn.address]
        self.nr_conns -= 1
        conn.close()
