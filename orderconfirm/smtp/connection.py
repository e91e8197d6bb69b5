"""An SMTP session with verified TLS, pipelining, and three outcomes of a send: sent, not sent, unknown."""

from __future__ import annotations

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
from orderconfirm.smtp.message import OrderMessage
from orderconfirm.smtp.replies import decode_text, read_reply, translate_error
from orderconfirm.smtp.timed_smtp import TimedSMTP

#: Reply timeouts for the reply to the final dot. RFC 5321 section 4.5.3.2.6 allows it much more time than the others,
#: because giving up there leaves the outcome unknown.
END_OF_DATA_TIMEOUT_FACTOR = 4


#: The commands of an envelope, each with its stage.
Envelope = Sequence[tuple[str, str]]


class RelaySMTP(TimedSMTP):
    """An SMTP session that tracks its stage and raises every failure as a DeliveryFailure."""

    def __init__(self, relay: Relay, ehlo_name: str, reply_timeout: float, trust: ssl.SSLContext) -> None:
        """Open nothing yet. `reply_timeout` is in seconds; `ehlo_name` avoids a lookup of this host's name."""
        super().__init__(ehlo_name, reply_timeout, trust if relay.security == "tls" else None)
        self.mails_sent = 0
        self.opened_at = self.last_used = time.monotonic()
        self.last_reply = (0, "")
        self._host = relay.host  # smtplib verifies the certificate of STARTTLS against it
        self._relay = relay
        self._trust = trust
        #: The message whose envelope has been sent, and the one whose envelope is to be sent next.
        self.announced: OrderMessage | None = None
        self._next: OrderMessage | None = None

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

    def try_sender(self, address: str) -> None:
        """Ask the relay whether it accepts mail from `address`, and send none. Raises the failure of such a mail."""
        try:
            self._enter("mail")
            self._expect("mail", self.docmd(f"MAIL FROM:<{address}>"), 250)
            self._enter("mail")
            self.rset()
        except (OSError, smtplib.SMTPException) as failure:
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

        Raises a DeliveryFailure otherwise. The session may be used again only if `is_usable`.
        """
        recipient = to_addrs if isinstance(to_addrs, str) else to_addrs[0]
        is_announced, self.announced = self.announced is not None, None
        try:
            self._send_envelope(self._envelope(from_addr, recipient, len(msg)), is_announced)
            self._send_content(msg)
        except (OSError, smtplib.SMTPException) as failure:
            self.close()
            raise translate_error(failure, self.stage) from failure
        finally:
            self._next = None
        self.mails_sent += 1
        self.last_used = time.monotonic()
        return {}

    def announce_next(self, message: OrderMessage) -> None:
        """Send the envelope of `message` together with the end of the previous one, if the relay offers PIPELINING.

        `announced` is then that message, and the next `sendmail` must be for it. If the connection is
        lost before the relay has replied to both, `message` has not been sent.
        """
        self._next = message if self.has_extn("pipelining") else None

    def close(self) -> None:
        """Close the connection without a QUIT."""
        self.announced = None
        super().close()

    @property
    def is_usable(self) -> bool:
        return self.sock is not None

    def begin_quit(self) -> None:
        """Send QUIT. The reply says nothing about the mails sent before, so an error is ignored."""
        with suppress(OSError, smtplib.SMTPException):
            if self.sock is not None:
                self.send(b"QUIT\r\n")

    def end_quit(self, give_up_at: float) -> None:
        """Close the connection once the relay has, or at this moment of the monotonic clock."""
        with suppress(OSError, ValueError):
            self._wait_for_close(give_up_at)
            if isinstance(self.sock, ssl.SSLSocket):
                # The relay has ended the TLS session. Many keep the TCP connection until we have ended it too.
                self.sock.unwrap()
                self._wait_for_close(give_up_at)
        self.close()

    def abort(self) -> None:
        """Break the connection from another thread, so that the thread that uses it fails at once."""
        sock = self.sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _wait_for_close(self, give_up_at: float) -> None:
        """Read until the relay closes the TLS session, or the connection if there is none. Raises OSError."""
        while self.sock is not None and (left := give_up_at - time.monotonic()) > 0:
            self.sock.settimeout(left)
            if not self.sock.recv(4096):
                break

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

    def _envelope(self, sender: str, recipient: str, size: int) -> Envelope:
        declared = f" SIZE={size}" if self.has_extn("size") else ""
        return (
            ("mail", f"MAIL FROM:<{sender}>{declared}\r\n"),
            ("rcpt", f"RCPT TO:<{recipient}>\r\n"),
            ("data", "DATA\r\n"),
        )

    def _send_envelope(self, envelope: Envelope, is_announced: bool) -> None:
        """Send MAIL, RCPT and DATA: pipelined if the relay offers it (RFC 2920), else one by one. Read the replies.

        With `is_announced`, they have already been sent.
        """
        is_pipelined = self.has_extn("pipelining")
        self._enter("mail")
        if is_pipelined and not is_announced:
            self.send(_joined(envelope))
        replies = []
        for stage, command in envelope:
            self._enter(stage)
            if not is_pipelined:
                self.send(command)
            replies.append((stage, *self.getreply()))
            if replies[-1][1] == 421 or not (is_pipelined or _is_positive(stage, replies[-1][1])):
                break
        for stage, code, text in replies:
            if not _is_positive(stage, code):
                self._reset_session({stage: code for stage, code, _ in replies})
                raise read_reply(stage, code, decode_text(text))

    def _reset_session(self, codes: dict[str, int]) -> None:
        """Reset the session after a refusal, so that it can be used again. Close it if that fails."""
        self._allow(self._reply_timeout)
        is_data_accepted = codes.get("data") == 354
        try:
            if 421 in codes.values() or (is_data_accepted and _is_positive("rcpt", codes["rcpt"])):
                self.close()  # in the second case the recipient would get an empty message
            elif is_data_accepted:
                # RFC 2920 section 3.1: the relay waits for content although every recipient was refused.
                self.send(b".\r\n")
                self.getreply()
            if self.sock is not None and self.rset()[0] != 250:
                self.close()
        except (OSError, smtplib.SMTPException):
            self.close()

    def _send_content(self, message: bytes) -> None:
        # Without its final dot the message cannot be accepted, so up to here a lost connection means "not sent".
        self._enter("data")
        # Dot-stuffing (RFC 5321 section 4.5.2). The first line is a header, so it needs none.
        self.send(message.replace(b"\r\n.", b"\r\n.."))
        self.seconds_left()
        self.stage = "end_of_data"
        self._allow(self._reply_timeout * END_OF_DATA_TIMEOUT_FACTOR)
        self.send(b".\r\n" + self._announcement())
        code, text = self.getreply()
        self.last_used = time.monotonic()
        self.last_reply = (code, decode_text(text))
        is_final = not 300 <= code < 400
        if code == 421 or not is_final:
            self.close()
        if not is_final:
            raise UnknownOutcome("end_of_data", f"unexpected 3xx reply to the message: {decode_text(text)}", code)
        if code >= 400:
            raise read_reply("end_of_data", code, decode_text(text))

    def _announcement(self) -> bytes:
        """Return the next message's envelope, which RFC 2920 section 3.1 allows right after the final dot."""
        message, self._next = self._next, None
        if message is None:
            return b""
        self.announced = message
        return _joined(self._envelope(*message.envelope, len(message.as_bytes()))).encode("ascii")

    def _expect(self, stage: str, reply: tuple[int, bytes], code: int) -> None:
        if reply[0] != code:
            raise read_reply(stage, reply[0], decode_text(reply[1]))


def _joined(envelope: Envelope) -> str:
    return "".join(command for _, command in envelope)


def _is_positive(stage: str, code: int) -> bool:
    return code == 354 if stage == "data" else code in (250, 251)
