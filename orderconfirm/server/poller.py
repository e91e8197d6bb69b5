"""gunicorn's poller, reading requests and sending answers itself: no thread waits for a client.

A connection is silent, then receiving; a thread answers the whole request; then it is sending, until the client has the
answer; and then idle until the next request, or lingering until it is closed.
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

#: Seconds until a new client says something, until its whole request is in, and until it has taken its answer.
SILENT_SECONDS = 5.0
READ_SECONDS = 10.0
WRITE_SECONDS = 30.0
#: Seconds, and bytes, for what still comes in when the last answer is out (RFC 9112 section 9.6): many clients read
#: their answer only once their whole body has left, however large.
LINGER_SECONDS = 5.0
LINGER_BYTES = 32 * 1024 * 1024
#: Seconds that a client may still take for any of this once the service stops.
STOP_SECONDS = 2.0
#: Bytes of requests and answers that are held for all clients. A client that holds no more than a few is not counted.
MAX_HELD_BYTES = 64 * 1024 * 1024
FEW_BYTES = 128 * 1024


class PollingWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker with limits to what a client may take: time, connections and memory.

    `max_per_address` is the number of connections that one address may have; None if they are a proxy's.
    """

    max_per_address: int | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._silent = Phase(SILENT_SECONDS, EVENT_READ, self._receive)
        self._receiving = Phase(READ_SECONDS, EVENT_READ, self._receive)
        self._sending = Phase(WRITE_SECONDS, EVENT_WRITE, self._send)
        self._idle = Phase(self.cfg.keepalive, EVENT_READ, self._receive)
        self._lingering = Phase(LINGER_SECONDS, EVENT_READ, self._discard)
        #: In the order in which they give way to new connections.
        self._phases = (self._silent, self._lingering, self._idle, self._receiving, self._sending)
        self._connections: set[Connection] = set()
        self._per_address: Counter[str | None] = Counter()

    def accept(self, listener: Any) -> bool:
        """Take a new connection in; the oldest of those that wait give way to it. False when there is none."""
        try:
            sock, client = listener.accept()
        except OSError as failure:
            if failure.errno not in (errno.EAGAIN, errno.ECONNABORTED):
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
        self._go_on(conn)  # what it has to say may be here already
        return True

    def finish_request(self, conn: Connection, fs: Any) -> None:
        """A thread has answered."""
        conn.is_kept = fs.exception() is None and bool(fs.result())
        self._attempt(self._send, conn)

    def murder_pending(self) -> None:
        """End what takes too long. gunicorn calls this after each look at the poller, at least once a second."""
        now = time.monotonic()
        for phase in self._phases:
            for conn in phase.overdue(now):
                self._give_up(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """Let no client hold up the stop.

        gunicorn calls this once, when it has ceased to accept; then it goes on until no connection is left.
        """
        for listener in self.sockets:
            # Clients that are connected already would be cut off.
            for _ in range(self.worker_connections):
                if not self.accept(listener):
                    break
            listener.close()
        now = time.monotonic()
        for phase in self._phases:
            phase.hurry(0.0 if phase in (self._silent, self._idle) else STOP_SECONDS, now)

    def _go_on(self, conn: Connection, _: Any = None) -> None:
        if conn.phase:  # else it has given way to another one since the poller saw it
            self._attempt(conn.phase.proceed, conn)

    def _attempt(self, step: Callable[[Connection], None], conn: Connection) -> None:
        try:
            step(conn)
        except BlockingIOError:
            pass
        except OSError:
            self._close(conn)
        except Exception:
            self.log.exception("a connection failed")  # and no other one
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
        self._answer_or_collect(conn)

    def _answer_or_collect(self, conn: Connection) -> None:
        request = conn.sock.incoming
        if request.is_ready:
            self._leave_phase(conn)
            self.enqueue_req(conn)
            return
        if request.expects_continue:
            request.expects_continue = False
            conn.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._wait(conn, self._receiving if len(request) else self._idle)
        self._hold_less(conn)

    def _send(self, conn: Connection) -> None:
        if conn.sock.outgoing:
            conn.sock.flush()
        if conn.sock.outgoing:
            self._wait(conn, self._sending)
            self._hold_less(conn)
        elif conn.is_kept:
            conn.sock.incoming.next()
            self._answer_or_collect(conn)
        else:
            conn.sock.shutdown(socket.SHUT_WR)
            self._wait(conn, self._lingering)

    def _discard(self, conn: Connection) -> None:
        part = conn.sock.receive()
        conn.lingered += len(part)
        if not part or conn.lingered > LINGER_BYTES:
            self._close(conn)

    def _wait(self, conn: Connection, phase: Phase) -> None:
        if conn.phase is phase:
            return
        self._leave_phase(conn)
        conn.phase = phase
        phase.add(conn, time.monotonic())
        self.poller.register(conn.sock, phase.event, partial(self._go_on, conn))

    def _leave_phase(self, conn: Connection) -> None:
        if conn.phase:
            conn.phase.remove(conn)
            conn.phase = None
            self.poller.unregister(conn.sock)

    def _give_up(self, conn: Connection) -> None:
        """Answer a request that did not come in whole, or close the connection."""
        if conn.phase is self._receiving:
            conn.sock.incoming.drop_body()
            self._answer_or_collect(conn)
        else:
            self._close(conn)

    def _hold_less(self, conn: Connection) -> None:
        """Give up on whoever holds most, when all clients together hold too much."""
        if conn.held > FEW_BYTES and sum(each.held for each in self._connections) > MAX_HELD_BYTES:
            self._give_up(max(chain(self._receiving, self._sending), key=lambda each: each.held))

    def _close_oldest(self, is_meant: Callable[[Connection], bool]) -> None:
        if oldest := next(filter(is_meant, chain(*self._phases)), None):
            self._close(oldest)

    def _close(self, conn: Connection) -> None:
        self._leave_phase(conn)
        self._connections.remove(conn)
        self._per_address[conn.address] -= 1
        if not self._per_address[conn.address]:
            del self._per_address[conn.address]
        self.nr_conns -= 1
        conn.close()
