"""A pool of open relay connections: opening one takes a dozen round trips, sending a mail over it one to four."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from orderconfirm.errors import DeliveryFailure, RelayTrouble, TooManyConnections, TryLater
from orderconfirm.smtp.message import OrderMessage
from orderconfirm.smtp.relay_mail import RelayConnection

#: Seconds after which an idle connection is closed. Relays drop idle connections, and limit their number.
IDLE_SECONDS = 15.0
#: Seconds that the relay has to close a connection after QUIT. Usually it takes a round trip.
QUIT_SECONDS = 2.0
#: Seconds after a refused login in which further sends fail with the same refusal instead of another login: mails that
#: were claimed together may still be rendering. Shorter than any pause before a probe.
SHARED_REFUSAL_SECONDS = 0.5


class ConnectionPool:
    """A pool of connections for the sender threads, whose number limits its size. The last used one is reused first."""

    def __init__(self, connect: Callable[[], RelayConnection], max_mails: int) -> None:
        """`connect` returns an unopened connection. A connection is replaced after `max_mails`."""
        self._connect = connect
        self._max_mails = max_mails
        self._idle: list[RelayConnection] = []
        self._busy: set[RelayConnection] = set()
        #: The connections over which only the envelope of a message has been sent.
        self._announced: dict[OrderMessage, RelayConnection] = {}
        self._lock = threading.Lock()
        #: Connections that the relay has yet to close.
        self._quitting = 0
        self._has_quit = threading.Condition(self._lock)
        self._login_gate = _LoginGate()
        self._is_aborted = False

    def send(self, message: OrderMessage, following: OrderMessage | None = None) -> tuple[int, str]:
        """Send one message and return the relay's final reply. Raises DeliveryFailure.

        `following` is the message that the same thread sends or abandons next. Its envelope is sent together with
        the end of this one if the relay supports it.

        If a reused connection turns out to be lost, or is closed with 421, before the relay has accepted the mail, the
        message is sent over a new one.
        """
        started_at = time.monotonic()
        connection = self._take(message)
        if connection is not None:
            try:
                return self._send_over(connection, message, following, started_at)
            except DeliveryFailure as exc:
                if self._is_aborted or not _was_stale(exc):
                    raise
                self._login_gate.close()
        return self._send_over(self._connect(), message, following, started_at)

    def abandon(self, message: OrderMessage) -> None:
        """Close the connection over which the envelope of `message` has been sent: the relay waits for its content."""
        with self._lock:
            connection = self._announced.pop(message, None)
        if connection is not None:
            connection.host.close()

    @property
    def open_connections(self) -> int:
        """The number of connections that are open or being opened."""
        return len(self._idle) + len(self._busy) + len(self._announced) + self._quitting

    def close_idle(self, older_than: float = IDLE_SECONDS, above: int | None = None) -> None:
        """Close connections idle for `older_than` seconds, and further idle ones while more than `above` are open.

        The least recently used ones are closed first.
        """
        limit = time.monotonic() - older_than
        with self._lock:
            surplus = self.open_connections - above if above is not None else 0
            idle = [
                connection
                for number, connection in enumerate(self._idle)
                if number < surplus or connection.host.last_used <= limit
            ]
            self._idle = [connection for connection in self._idle if connection not in idle]
            if not self._idle and not self._busy and not self._announced:
                self._login_gate.close()
        self._quit(idle)

    def abort(self) -> None:
        """Close every connection that is sending a mail, so that its send fails at once. Later sends fail too."""
        with self._lock:
            self._is_aborted = True
            busy = [*self._busy, *self._announced.values()]
        for connection in busy:
            connection.host.abort()

    def _send_over(
        self, connection: RelayConnection, message: OrderMessage, following: OrderMessage | None, started_at: float
    ) -> tuple[int, str]:
        with self._lock:
            self._busy.add(connection)
        try:
            connection.host.begin(started_at)
            if not connection.host.is_usable:
                with self._has_quit:
                    self._has_quit.wait_for(lambda: not self._quitting, QUIT_SECONDS)
                self._open(connection)
            if self._is_aborted:
                connection.host.close()
                raise TryLater("connect", "the service is stopping")
            if following and not self._is_last(connection):
                connection.host.announce_next(following)
            connection.send(message)
            return connection.host.last_reply
        finally:
            self._give_back(connection)

    def _open(self, connection: RelayConnection) -> None:
        try:
            self._login_gate.enter(lambda: connection.__enter__())
        except TooManyConnections:
            raise
        except RelayTrouble:
            # The next probe must log in again, not reuse a connection from before the refusal.
            self.close_idle(older_than=0)
            raise

    def _take(self, message: OrderMessage) -> RelayConnection | None:
        with self._lock:
            connection = self._announced.pop(message, None) or (self._idle.pop() if self._idle else None)
            if connection:
                self._busy.add(connection)
            return connection

    def _give_back(self, connection: RelayConnection) -> None:
        host = connection.host
        with self._lock:
            self._busy.discard(connection)
            if announced := host.announced:
                self._announced[announced] = connection
                return
            if host.is_usable and host.mails_sent < self._max_mails and host.opened_at >= self._login_gate.closed_at:
                self._idle.append(connection)
                return
        self._quit([connection])

    def _quit(self, connections: Sequence[RelayConnection]) -> None:
        """Close connections. No new one is opened until the relay has closed them: it counts them until then."""
        if not connections:
            return
        with self._lock:
            self._quitting += len(connections)
        give_up_at = time.monotonic() + QUIT_SECONDS
        for connection in connections:
            connection.host.begin_quit()
        for connection in connections:
            connection.host.end_quit(give_up_at)
        with self._has_quit:
            self._quitting -= len(connections)
            self._has_quit.notify_all()

    def _is_last(self, connection: RelayConnection) -> bool:
        """Whether no further message may be sent over a connection."""
        return connection.host.mails_sent + 1 >= self._max_mails


class _LoginGate:
    """Limits logins to one at a time until one has succeeded, so that a wrong password causes only one attempt."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_open = False
        self._refusal: RelayTrouble | None = None
        self.closed_at = 0.0

    def enter(self, log_in: Callable[[], object]) -> None:
        """Run `log_in`, or raise again the refusal of a login that has just failed. Raises RelayTrouble."""
        entered_at = time.monotonic()
        with self._lock:
            if not self._is_open:
                if self._refusal is not None and entered_at < self.closed_at + SHARED_REFUSAL_SECONDS:
                    raise _copy(self._refusal)
                self._run(log_in)
                return
        self._run(log_in)

    def close(self) -> None:
        """Require a successful login again, after a connection was lost."""
        self._is_open = False

    def _run(self, log_in: Callable[[], object]) -> None:
        try:
            log_in()
            self._is_open = True
        except TooManyConnections:
            raise
        except RelayTrouble as exc:
            self._is_open = False
            self._refusal = exc
            self.closed_at = time.monotonic()
            raise


def _copy(exc: RelayTrouble) -> RelayTrouble:
    """Return a copy for another thread: two threads must not raise the same exception object."""
    return type(exc)(exc.stage, exc.text, exc.code, exc.retry_after)


def _was_stale(exc: DeliveryFailure) -> bool:
    """Whether a reused connection was lost, or closed with 421, before the relay accepted the mail."""
    return exc.code == 421 or (exc.code is None and exc.stage != "end_of_data")
