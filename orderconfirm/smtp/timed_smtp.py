"""smtplib's client with a limit on every wait and on the length of every reply.

smtplib's own timeout holds for each `recv`, so a relay that sends single bytes slowly can block a thread forever.
"""

from __future__ import annotations

import io
import smtplib
import socket
import ssl
import time
from typing import Any

#: Reply timeouts within which the end of a message must be sent; otherwise the attempt is aborted.
READY_TIMEOUT_FACTOR = 4
#: Maximum bytes of one reply with all its lines. The longest usual one, to EHLO, has several hundred.
MAX_REPLY_BYTES = 65536


class _ReplyStream(io.RawIOBase):
    """The relay's side of a socket. A timeout holds for the whole reply, however slowly its bytes arrive."""

    def __init__(self, smtp: TimedSMTP) -> None:
        self._smtp = smtp

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        sock = self._smtp.sock
        if sock is None:
            raise ConnectionAbortedError("the connection was closed")
        self._smtp.seconds_left()
        self._smtp.limit_wait(sock)
        return self._smtp.counted(sock.recv_into(buffer))


class TimedSMTP(smtplib.SMTP):
    """An SMTP client that tracks its `stage`. Every wait ends with TimeoutError at its time limit."""

    def __init__(self, ehlo_name: str, reply_timeout: float, tls: ssl.SSLContext | None) -> None:
        """Open nothing yet. `reply_timeout` is in seconds; `ehlo_name` avoids a lookup of this host's name.

        With `tls` the connection is encrypted from its first byte.
        """
        super().__init__(local_hostname=ehlo_name, timeout=reply_timeout)
        self.stage = "connect"
        self._reply_timeout = reply_timeout
        self._tls = tls
        self._ready_by = self._wait_until = 0.0
        self._reply_bytes = 0

    def begin(self, at: float) -> None:
        """Start the time limit of a send that began at the monotonic time `at`."""
        self._ready_by = at + READY_TIMEOUT_FACTOR * self._reply_timeout

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = io.BufferedReader(_ReplyStream(self))
        self._reply_bytes = 0
        try:
            code, text = super().getreply()
        except smtplib.SMTPResponseException as garbage:
            # An endless line: smtplib invents a 500 that the relay never sent.
            raise smtplib.SMTPServerDisconnected(f"not SMTP: {garbage.smtp_error!r}") from garbage
        if not 200 <= code < 600:
            # Further replies may belong to other commands, so the connection is unusable.
            raise smtplib.SMTPServerDisconnected(f"not SMTP: {code} {text!r}")
        return code, text

    def seconds_left(self) -> float:
        """Return the seconds left of the current wait. Raises TimeoutError when none are left."""
        left = self._wait_until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def limit_wait(self, sock: socket.socket) -> None:
        """Limit the timeout of `sock` to the rest of the current wait.

        Setting it for each reply would cost more than reading the reply, so the limit may be exceeded by a tenth.
        """
        left = max(self._wait_until - time.monotonic(), 0.001)
        if not 0.9 * (timeout := sock.gettimeout() or 0.0) <= left <= timeout:
            sock.settimeout(left)

    def counted(self, count: int) -> int:
        """Count more bytes of the current reply. Raises ConnectionAbortedError when it is too long."""
        self._reply_bytes += count
        if self._reply_bytes > MAX_REPLY_BYTES:
            raise ConnectionAbortedError(f"a reply of more than {MAX_REPLY_BYTES} bytes")
        return count

    def _enter(self, stage: str) -> None:
        """Begin a stage, which may take one reply timeout, but not longer than the send's time limit."""
        self.stage = stage
        self._allow(min(self._reply_timeout, self._ready_by - time.monotonic()))

    def _allow(self, seconds: float) -> None:
        self._wait_until = time.monotonic() + seconds
        if self.sock is not None:
            self.limit_wait(self.sock)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = self._connect_to_any(host, port)
        # The final dot leaves in a segment of its own, which Nagle's algorithm would hold back for a round trip.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            self._enter("starttls")
            sock = self._tls.wrap_socket(sock, server_hostname=host)
        self._enter("banner")
        return sock

    def _connect_to_any(self, host: str, port: int) -> socket.socket:
        """Connect to the first of the host's addresses that responds, within one reply timeout for all."""
        addresses = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        self._enter("connect")
        share = self.seconds_left() / len(addresses)
        failure: OSError = OSError("no address")
        for family, kind, protocol, _, address in addresses:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(share)
                sock.connect(address)
                return sock
            except OSError as exc:
                sock.close()
                failure = exc
        raise failure
