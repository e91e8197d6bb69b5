"""An SMTP session with verified TLS, a limit on every wait, and three outcomes: sent, not sent, unknown."""

from __future__ import annotations

import io
import logging
import smtplib
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from orderconfirm.errors import (
    DeliveryFailure,
    RelayMisconfigured,
    UnknownOutcome,
)
from orderconfirm.settings import Relay
from orderconfirm.smtp.replies import decode_text, read_reply, translate_error

log = logging.getLogger(__name__)

#: Reply timeouts within which the final dot must be sent; otherwise the mail is not sent this time.
READY_TIMEOUT_FACTOR = 4
#: Bytes of one reply with all its lines. The longest usual one, to EHLO, has several hundred.
MAX_REPLY_BYTES = 65536
#: Reply timeouts for the reply to the final dot. RFC 5321 section 4.5.3.2.6 allows it much more time than the others,
#: because giving up there leaves the outcome unknown.
END_OF_DATA_TIMEOUT_FACTOR = 4


class _ReplyStream(io.RawIOBase):
    """The relay's side of a socket. A timeout holds for the whole reply, however slowly its bytes arrive."""

    def __init__(self, smtp: RelaySMTP) -> None:
        self._smtp = smtp

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        sock = self._smtp.sock
        if sock is None:
            raise ConnectionAbortedError("the connection was closed")
        sock.settimeout(self._smtp.seconds_left())
        return self._smtp.counted(sock.recv_into(buffer))


class RelaySMTP(smtplib.SMTP):
    """An SMTP session that tracks its stage and raises every failure as a DeliveryFailure."""

    def __init__(self, relay: Relay, ehlo_name: str, reply_timeout: float, trust: ssl.SSLContext) -> None:
        """Open nothing yet. `reply_timeout` is in seconds; `ehlo_name` avoids a look-up of this host's name."""
        super().__init__(local_hostname=ehlo_name, timeout=reply_timeout)
        self.stage = "connect"
        self.mails_sent = 0
        self.opened_at = self.last_used = time.monotonic()
        self.last_reply = (0, "")
        self._host = relay.host
        self._relay = relay
        self._reply_timeout = reply_timeout
        self._trust = trust
        self._ready_by = self._wait_until = 0.0
        self._reply_bytes = 0

    def begin(self, moment: float) -> None:
        """Start the time limit of a send that began at `moment` of the monotonic clock."""
        self._ready_by = moment + READY_TIMEOUT_FACTOR * self._reply_timeout

    def open(self) -> None:
        """Connect, encrypt and log in. Raises RelayTrouble. No password is sent before the certificate is verified."""
        try:
            self._enter("connect")
            self._expect("banner", self.connect(self._relay.host, self._relay.port), 220)
            self._greet()
            if self._relay.security == "starttls":
                self._start_tls()
            if self._relay.username and self._relay.password:
                self._log_in(self._relay.username, self._relay.password)
        except (OSError, smtplib.SMTPException, DeliveryFailure, ValueError) as failure:
            self.close()
            raise translate_error(failure, self.stage) from failure

    def sendmail(
        self,
        from_addr: str,
        to_addrs: str | Sequence[str],
        msg: Any,
        mail_options: Sequence[str] = (),
        rcpt_options: Sequence[str] = (),
    ) -> dict[str, tuple[int, bytes]]:
        """Send one message to one recipient. When this returns, the relay has accepted it.

        Raises a DeliveryFailure otherwise. The session may be used again if `is_usable` then says so.
        """
        recipient = to_addrs if isinstance(to_addrs, str) else to_addrs[0]
        size = f" SIZE={len(msg)}" if self.has_extn("size") else ""
        envelope = (
            ("mail", f"MAIL FROM:<{from_addr}>{size}"),
            ("rcpt", f"RCPT TO:<{recipient}>"),
            ("data", "DATA"),
        )
        try:
            self._send_envelope(envelope)
            self._send_content(msg)
        except (OSError, smtplib.SMTPException) as failure:
            self.close()
            raise translate_error(failure, self.stage) from failure
        self.mails_sent += 1
        self.last_used = time.monotonic()
        return {}

    @property
    def is_usable(self) -> bool:
        return self.sock is not None

    def quit_nowait(self) -> None:
        """Send QUIT and close, without waiting for the reply: it says nothing about the mails sent before."""
        with suppress(OSError, smtplib.SMTPException):
            if self.sock is not None:
                self.send(b"QUIT\r\n")
        self.close()

    def abort(self) -> None:
        """Break the connection from another thread, so that the thread that uses it fails at once."""
        sock = self.sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = io.BufferedReader(_ReplyStream(self))
        self._reply_bytes = 0
        try:
            return super().getreply()
        except smtplib.SMTPResponseException as garbage:
            # A line without end: smtplib makes up a 500, which the relay never said.
            raise smtplib.SMTPServerDisconnected(f"not SMTP: {garbage.smtp_error!r}") from garbage

    def seconds_left(self) -> float:
        """Return the seconds left of the current wait. Raises TimeoutError when it is over."""
        left = self._wait_until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def counted(self, count: int) -> int:
        """Count more bytes of the current reply. Raises ConnectionAbortedError when it is too long."""
        self._reply_bytes += count
        if self._reply_bytes > MAX_REPLY_BYTES:
            raise ConnectionAbortedError(f"a reply of more than {MAX_REPLY_BYTES} bytes")
        return count

    def _enter(self, stage: str) -> None:
        """Begin a stage, with one reply timeout for it, but no later than the end of the send's time limit."""
        self.stage = stage
        self._allow(min(self._reply_timeout, self._ready_by - time.monotonic()))

    def _allow(self, seconds: float) -> None:
        self._wait_until = time.monotonic() + seconds
        if self.sock is not None:
            self.sock.settimeout(max(seconds, 0.001))

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = self._connect_to_any(host, port)
        # The final dot leaves in a segment of its own, which Nagle's algorithm would hold back for a round trip.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._relay.security == "tls":
            self._enter("starttls")
            sock = self._trust.wrap_socket(sock, server_hostname=host)
        self._enter("banner")
        return sock

    def _connect_to_any(self, host: str, port: int) -> socket.socket:
        """Connect to the first of the host's addresses that answers, within one reply timeout for all."""
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

    def _greet(self) -> None:
        """Send EHLO, or HELO to a relay that does not know EHLO."""
        self._enter("ehlo")
        code, text = self.ehlo()
        if code in (500, 502):
            code, text = self.helo()
        self._expect("ehlo", (code, text), 250)

    def _start_tls(self) -> None:
        self._enter("starttls")
        if not self.has_extn("starttls"):
            raise RelayMisconfigured("starttls", "the relay does not offer STARTTLS: check MAIL_PORT and MAIL_USE_TLS")
        self._expect("starttls", self.starttls(context=self._trust), 220)
        self._greet()

    def _log_in(self, username: str, password: str) -> None:
        """Log in once, with one mechanism. smtplib tries several, which hides the first refusal and locks accounts."""
        self._enter("auth")
        offered = self.esmtp_features.get("auth", "").upper().split()
        self.user, self.password = username, password
        if "PLAIN" in offered:
            self.auth("PLAIN", self.auth_plain)
        elif "LOGIN" in offered:
            self.auth("LOGIN", self.auth_login)
        else:
            raise RelayMisconfigured("auth", "the relay offers neither AUTH PLAIN nor AUTH LOGIN")

    def _send_envelope(self, envelope: Sequence[tuple[str, str]]) -> None:
        """Send MAIL, RCPT and DATA: pipelined if the relay offers it (RFC 2920), else one by one."""
        replies = []
        if self.has_extn("pipelining"):
            self._enter("mail")
            self.send("".join(f"{command}\r\n" for _, command in envelope))
            for stage, _ in envelope:
                self._enter(stage)
                replies.append((stage, *self.getreply()))
                if replies[-1][1] == 421:
                    break
        else:
            for stage, command in envelope:
                self._enter(stage)
                replies.append((stage, *self.docmd(command)))
                if not _is_welcome(stage, replies[-1][1]):
                    break
        for stage, code, text in replies:
            if not _is_welcome(stage, code):
                self._take_back(replies[-1])
                raise read_reply(stage, code, decode_text(text))

    def _take_back(self, last_reply: tuple[str, int, bytes]) -> None:
        """Reset the session after a refusal, so that it can be used again. Close it if that fails."""
        stage, code, _ = last_reply
        self._allow(self._reply_timeout)
        try:
            if code == 421:
                self.close()
            elif stage == "data" and code == 354:
                # RFC 2920 section 3.1: the relay waits for content although every recipient was refused.
                self.send(b".\r\n")
                self.getreply()
            if self.sock is not None and self.rset()[0] != 250:
                self.close()
        except (OSError, smtplib.SMTPException):
            self.close()

    def _send_content(self, message: bytes) -> None:
        # Without its final dot the message cannot be accepted, so up to here a lost connection is a clear "not sent".
        self._enter("data")
        self.send(smtplib._quote_periods(message))  # type: ignore[attr-defined]
        self.seconds_left()
        self.stage = "end_of_data"
        self._allow(self._reply_timeout * END_OF_DATA_TIMEOUT_FACTOR)
        self.send(b".\r\n")
        code, text = self.getreply()
        self.last_used = time.monotonic()
        self.last_reply = (code, decode_text(text))
        if code == 421 or not 200 <= code < 600:
            self.close()
        if not 200 <= code < 600 or 300 <= code < 400:
            raise UnknownOutcome("end_of_data", f"an answer that is none: {decode_text(text)}", code)
        if code >= 400:
            raise read_reply("end_of_data", code, decode_text(text))

    def _expect(self, stage: str, reply: tuple[int, bytes], code: int) -> None:
        if reply[0] != code:
            raise read_reply(stage, reply[0], decode_text(reply[1]))


def _is_welcome(stage: str, code: int) -> bool:
    return code == 354 if stage == "data" else code in (250, 251)
