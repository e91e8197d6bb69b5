"""Client connections: sockets that no thread waits for, and what the connections wait for instead."""

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

#: Bytes read at once.
RECEIVE_BYTES = 65536
#: Bytes of answers that are kept for all clients until they take them.
MAX_UNSENT_BYTES = 96 * 1024 * 1024


class _Sum:
    """A number that several threads add to."""

    def __init__(self) -> None:
        self.total = 0
        self._lock = threading.Lock()

    def add(self, number: int) -> None:
        with self._lock:
            self.total += number


_unsent = _Sum()


class ClientSocket(socket.socket):
    """A socket whose requests are collected beforehand, and whose answers are sent on afterwards.

    The poller calls `receive` and `flush`. In between, a thread answers one request: gunicorn's parser reads it with
    `recv`, the answer goes out with `sendall`, and neither blocks.
    """

    def __init__(self, sock: socket.socket) -> None:
        family, kind, protocol = sock.family, sock.type, sock.proto
        super().__init__(family, kind, protocol, fileno=sock.detach())
        self.incoming = RequestBuffer()
        self.outgoing = bytearray()
        self._counted = 0

    def receive(self) -> bytes:
        """What has come; b"" when the client sends no more. Raises BlockingIOError when nothing has come."""
        return super().recv(RECEIVE_BYTES, socket.MSG_DONTWAIT)

    def flush(self) -> None:
        """Send what waits, as far as the client takes it."""
        del self.outgoing[: self._send_now(self.outgoing)]
        self._count()

    def recv(self, size: int, flags: int = 0) -> bytes:
        """The next bytes of the collected request; b"" at its end, whether or not it is whole."""
        part = self.incoming.read(size)
        if not part and self.incoming.is_head_too_large:
            raise LimitRequestHeaders("limit request headers total size")
        return part

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send what can be sent at once, and keep the rest for `flush`.

        Raises ConnectionResetError when too much is kept already for all clients; the connection is closed then.
        """
        rest = memoryview(data)
        if not self.outgoing:
            rest = rest[self._send_now(data) :]
        self.outgoing += rest
        self._count()
        if self._counted and _unsent.total > MAX_UNSENT_BYTES:
            self.close()
            raise ConnectionResetError(errno.ECONNRESET, "too many clients are slow to take their answers")

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
    """gunicorn's connection, and where it stands between two requests."""

    sock: ClientSocket

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, ClientSocket(sock), client, server)
        self.data_ready = True  # a thread that has it need not wait for data
        self.phase: Phase | None = None
        self.is_kept = False
        self.lingered = 0

    @property
    def address(self) -> str | None:
        """The client's, or its proxy's; None on a Unix socket."""
        return self.client[0] if isinstance(self.client, tuple) else None

    @property
    def held(self) -> int:
        """Bytes of requests and answers in memory."""
        return len(self.sock.incoming) + len(self.sock.outgoing)


@dataclass(eq=False)
class Phase:
    """Connections that wait for the same, each for at most `seconds`, the longest waiting first.

    The poller waits for `event`, and then calls `proceed`.
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
        for conn, deadline in self._deadlines.items():  # who came first has the first deadline
            if deadline > now:
                break
            overdue.append(conn)
        return overdue

    def hurry(self, seconds: float, now: float) -> None:
        """Let none wait for more than `seconds` from now on."""
        self.seconds = min(self.seconds, seconds)
        self._deadlines = {conn: min(deadline, now + seconds) for conn, deadline in self._deadlines.items()}
