"""Open connections, kept between mails: a new one costs a dozen round trips, a mail on an open one two to four."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from orderconfirm.errors import DeliveryFailure
from orderconfirm.mail.message import OrderMessage
from orderconfirm.mail.transport import RelayConnection

#: Seconds without a mail after which a connection is closed: relays drop idle ones, and keep count of them.
IDLE_SECONDS = 15.0


class ConnectionPool:
    """Hands each mail a connection, the warmest first. Its users are the sender threads, whose number is its limit."""

    def __init__(self, connect: Callable[[], RelayConnection], most_mails: int) -> None:
        """`connect` gives an unopened connection; `most_mails` go over one before it is renewed."""
        self._connect = connect
        self._most_mails = most_mails
        self._idle: list[RelayConnection] = []
        self._lock = threading.Lock()

    def send(self, message: OrderMessage) -> tuple[int, str]:
        """Send one message; returns the relay's final reply. Raises a DeliveryFailure.

        A kept connection that turns out to be dead before the relay took anything is replaced at once.
        """
        connection = self._take()
        if connection is not None:
            try:
                return self._send_over(connection, message)
            except DeliveryFailure as failure:
                if not _was_stale(failure):
                    raise
        return self._send_over(self._open(), message)

    def close_idle(self, older_than: float = IDLE_SECONDS) -> None:
        """Close the connections that carried nothing for `older_than` seconds."""
        limit = time.monotonic() - older_than
        with self._lock:
            old = [connection for connection in self._idle if connection.host.last_used <= limit]
            self._idle = [connection for connection in self._idle if connection.host.last_used > limit]
        for connection in old:
            connection.host.hang_up()

    def _send_over(self, connection: RelayConnection, message: OrderMessage) -> tuple[int, str]:
        try:
            connection.send(message)
            return connection.host.last_reply
        finally:
            self._give_back(connection)

    def _open(self) -> RelayConnection:
        return self._connect().__enter__()

    def _take(self) -> RelayConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: RelayConnection) -> None:
        host = connection.host
        if not host.is_usable or host.mails_sent >= self._most_mails:
            host.hang_up()
            return
        with self._lock:
            self._idle.append(connection)


def _was_stale(failure: DeliveryFailure) -> bool:
    """True when a kept connection was gone, or sent away with 421, before the envelope was taken."""
    return failure.stage == "mail" and failure.code in (None, 421)
