"""Open connections, kept between mails: a new one costs a dozen round trips, a mail on an open one two to four."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from orderconfirm.errors import DeliveryFailure, RelayTrouble, TooManyConnections, TryLater
from orderconfirm.smtp.message import OrderMessage
from orderconfirm.smtp.relay_mail import RelayConnection

#: Seconds without a mail after which a connection is closed: relays drop idle ones, and keep count of them.
IDLE_SECONDS = 15.0
#: Seconds in which a refused login answers for the others: mails that were claimed with it may still be in the making.
#: Shorter than any pause before a probe.
SHARED_SECONDS = 0.5


class ConnectionPool:
    """Hands each mail a connection, the warmest first. Its users are the sender threads, whose number is its limit."""

    def __init__(self, connect: Callable[[], RelayConnection], max_mails: int) -> None:
        """`connect` gives an unopened connection; `most_mails` go over one before it is renewed."""
        self._connect = connect
        self._max_mails = max_mails
        self._idle: list[RelayConnection] = []
        self._busy: set[RelayConnection] = set()
        self._lock = threading.Lock()
        self._gate = _Gate()
        self._is_cut_off = False

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
                if self._is_cut_off or not _was_stale(failure):
                    raise
                self._gate.close()
        return self._send_over(self._connect(), message, began)

    def close_idle(self, older_than: float = IDLE_SECONDS) -> None:
        """Close the connections that carried nothing for `older_than` seconds."""
        limit = time.monotonic() - older_than
        with self._lock:
            old = [connection for connection in self._idle if connection.host.last_used <= limit]
            self._idle = [connection for connection in self._idle if connection.host.last_used > limit]
            if not self._idle and not self._busy:
                self._gate.close()
        for connection in old:
            connection.host.quit_nowait()

    def abort(self) -> None:
        """Cut every connection that carries a mail now: its thread fails at once, and says how far it came.

        Nothing is sent any more.
        """
        with self._lock:
            self._is_cut_off = True
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
            if self._is_cut_off:
                raise TryLater("connect", "the service is stopping")
            connection.send(message)
            return connection.host.last_reply
        finally:
            with self._lock:
                self._busy.discard(connection)
            self._give_back(connection)

    def _open(self, connection: RelayConnection) -> None:
        try:
            self._gate.enter(lambda: connection.__enter__())
        except TooManyConnections:
            raise
        except RelayTrouble:
            # The next probe must log in anew, not find a connection that was let in before the relay changed its mind.
            self.close_idle(older_than=0)
            raise

    def _take(self) -> RelayConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: RelayConnection) -> None:
        host = connection.host
        if not host.is_usable or host.mails_sent >= self._max_mails or host.opened_at < self._gate.closed_at:
            host.quit_nowait()
            return
        with self._lock:
            self._idle.append(connection)


class _Gate:
    """Lets one thread log in alone until that has worked, then all at once: a wrong password costs one login."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_proven = False
        self._refusal: RelayTrouble | None = None
        self.closed_at = 0.0

    def enter(self, log_in: Callable[[], object]) -> None:
        """Run `log_in`, or raise what another one met while this one waited for it. Raises RelayTrouble."""
        asked_at = time.monotonic()
        with self._lock:
            if not self._is_proven:
                if self._refusal is not None and asked_at < self.closed_at + SHARED_SECONDS:
                    raise _again(self._refusal)
                self._try(log_in)
                return
        self._try(log_in)

    def close(self) -> None:
        """A connection was lost: whether the login still works is to be seen."""
        self._is_proven = False

    def _try(self, log_in: Callable[[], object]) -> None:
        try:
            log_in()
            self._is_proven = True
        except TooManyConnections:
            raise
        except RelayTrouble as refusal:
            self._is_proven = False
            self._refusal = refusal
            self.closed_at = time.monotonic()
            raise


def _again(refusal: RelayTrouble) -> RelayTrouble:
    """The same for another thread: one exception must not be raised by two."""
    return type(refusal)(refusal.stage, refusal.text, refusal.code, refusal.retry_after)


def _was_stale(failure: DeliveryFailure) -> bool:
    """True when a kept connection was gone, or sent away with 421, while the relay had not taken the mail."""
    return failure.code == 421 or (failure.code is None and failure.stage != "end_of_data")
