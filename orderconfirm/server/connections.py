"""Client connections for the poller: non-blocking sockets, and the phases of a connection."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.workers.gthread import TConn

from orderconfirm.server.request_buffer import RequestBuffer

#: Bytes that one `recv` reads.
RECEIVE_BYTES = 65536
#: Maximum bytes of unsent responses of all clients together.
MAX_UNSENT_BYTES = 96 * 1024 * 1024


class _SharedTotal:
    """A number that several threads change."""

    def __init__(self) -> None:
        self.total = 0
        self._lock = threading.Lock()

    def add(self, number: int) -> None:
        with self._lock:
            self.total += number


_unsent = _SharedTotal()


class ClientSocket(socket.socket):
    """A socket that buffers requests and responses.

    The poller receives a request with `receive` and sends the rest of a response with `flush`. In between, a thread
    handles the request: gunicorn reads it with `recv` and sends the response with `sendall`, and neither blocks.
    """

    def __init__(self, sock: socket.socket) -> None:
        family, socket_type, protocol = sock.family, sock.type, sock.proto
        super().__init__(family, socket_type, protocol, fileno=sock.detach())
        self.incoming = RequestBuffer()
        self.outgoing = bytearray()
        self._counted = 0

    def receive(self) -> bytes:
        """Return received bytes; b"" when the client sends no more. Raises BlockingIOError when there are none."""
        return super().recv(RECEIVE_BYTES, socket.MSG_DONTWAIT)

    def flush(self) -> None:
        """Send as many of the unsent bytes as possible without blocking."""
        del self.outgoing[: self._send_now(self.outgoing)]
        self._count()

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return the next bytes of the buffered request; b"" at its end, even if it is incomplete."""
        part = self.incoming.read(size)
        if not part and self.incoming.is_head_too_large:
            raise LimitRequestHeaders("limit request headers total size")
        return part

    def setblocking(self, flag: bool) -> None:
        """Do nothing: no call blocks, and gunicorn calls this for each request."""

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Keep a small response for `flush`, so that its headers and its body are sent together.

        Send as much of a larger response as possible without blocking. If the client does not read it, and the unsent
        bytes of all clients exceed the limit, close the connection and raise ConnectionResetError.
        """
        self.outgoing += data
        if len(self.outgoing) > RECEIVE_BYTES:
            del self.outgoing[: self._send_now(self.outgoing)]
        self._count()
        # Never a small response: those who read must not pay for a crowd that does not.
        if self._counted > RECEIVE_BYTES and _unsent.total > MAX_UNSENT_BYTES:
            self.close()
            raise ConnectionResetError(errno.ECONNRESET, "too many unsent response bytes")

    def close(self) -> None:
        self.outgoing.clear()
        self._count()
        super().close()

    def _send_now(self, data: Any) -> int:
        try:
            return self.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def _count(self) -> None:
        if self._counted != len(self.outgoing):
            _unsent.add(len(self.outgoing) - self._counted)
            self._counted = len(self.outgoing)


class Connection(TConn):  # type: ignore[misc]
    """gunicorn's connection with its phase between two requests."""

    sock: ClientSocket

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, ClientSocket(sock), client, server)
        self.data_ready = True  # the request is buffered before a thread gets the connection
        self.phase: Phase | None = None
        self.is_keepalive = False
        #: Bytes that were received and discarded after the last response.
        self.discarded_bytes = 0

    @property
    def address(self) -> str | None:
        """The address of the client or its proxy; None on a Unix socket."""
        return self.client[0] if isinstance(self.client, tuple) else None

    @property
    def buffered_bytes(self) -> int:
        """Bytes of requests and responses in memory."""
        return len(self.sock.incoming) + len(self.sock.outgoing)


@dataclass(eq=False)
class Phase:
    """Connections that wait for the same event, each for at most `seconds`, in the order of their deadlines.

    The poller calls `proceed` when `event` occurs.
    """

    seconds: float
    event: int
    proceed: Callable[[Connection], None]
    _deadlines: dict[Connection, float] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._deadlines)

    def add(self, conn: Connection, now: float) -> None:
        self._deadlines[conn] = now + self.seconds

    def remove(self, conn: Connection) -> None:
        del self._deadlines[conn]

    def overdue(self, now: float) -> list[Connection]:
        overdue = []
        for conn, deadline in self._deadlines.items():  # in the order of their deadlines
            if deadline > now:
                break
            overdue.append(conn)
        return overdue

    def shorten(self, seconds: float, now: float) -> None:
        """Limit each connection's wait to `seconds` from now."""
        self.seconds = min(self.seconds, seconds)
        self._deadlines = {conn: min(deadline, now + seconds) for conn, deadline in self._deadlines.items()}
