"""Open connections, kept between mails: a new one costs a dozen round trips, a mail on an open one two to four."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from orderconfirm.errors import DeliveryFailure, RelayTrouble, TooManyConnections
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
        self._busy: set[RelayConnection] = set()
        self._last_refusal = 0.0
        self._lock = threading.Lock()

    def send(self, message: OrderMessage) -> tuple[int, str]:
        """Send one message; returns the relay's final reply. Raises a DeliveryFailure.

        A kept connection that is dead, or is sent away with 421, before the relay took the mail is replaced at once.
        """
        began = time.monotonic()
        connection = self._take()
        if connection is not None:
            try:
                return self._send_over(connection, message, began)
            except DeliveryFailure as failure:
                if not _was_stale(failure):
                    raise
        return self._send_over(self._connect(), message, began)

    def close_idle(self, older_than: float = IDLE_SECONDS) -> None:
        """Close the connections that carried nothing for `older_than` seconds."""
        limit = time.monotonic() - older_than
        with self._lock:
            old = [connection for connection in self._idle if connection.host.last_used <= limit]
            self._idle = [connection for connection in self._idle if connection.host.last_used > limit]
        for connection in old:
            connection.host.hang_up()

    def abort(self) -> None:
        """Cut every connection that carries a mail now: its thread fails at once, and says how far it came."""
        with self._lock:
            busy = list(self._busy)
        for connection in busy:
            connection.host.abort()

    def _send_over(self, connection: RelayConnection, message: OrderMessage, began: float) -> tuple[int, str]:
        with self._lock:
            self._busy.add(connection)
        try:
            connection.host.begin(began)
            if not connection.host.is_usable:
                self._open(connection)
            connection.send(message)
            return connection.host.last_reply
        finally:
            with self._lock:
                self._busy.discard(connection)
            self._give_back(connection)

    def _open(self, connection: RelayConnection) -> None:
        try:
            connection.__enter__()
        except TooManyConnections:
            raise
        except RelayTrouble:
            # The next probe must log in anew, not find a connection that was let in before the relay changed its mind.
            self._last_refusal = time.monotonic()
            self.close_idle(older_than=0)
            raise

    def _take(self) -> RelayConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: RelayConnection) -> None:
        host = connection.host
        if not host.is_usable or host.mails_sent >= self._most_mails or host.opened_at < self._last_refusal:
            host.hang_up()
            return
        with self._lock:
            self._idle.append(connection)


def _was_stale(failure: DeliveryFailure) -> bool:
    """True when a kept connection was gone, or sent away with 421, while the relay had not taken the mail."""
    return failure.code == 421 or (failure.code is None and failure.stage != "dot")
