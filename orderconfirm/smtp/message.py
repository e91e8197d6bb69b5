"""The finished mail: an RFC 5322 message of pure ASCII with lines of at most 78 characters.

Flask-Mail's own message has 8-bit bodies and lines of any length, a new Message-ID at each retry, a `mixed` part around
the `alternative`, and loses a sender's name at its first comma; `email.message.EmailMessage` is right but takes twenty
times as long. This one is both right and fast, and still goes through Flask-Mail's `Connection.send`.
"""

from __future__ import annotations

import json
import re
import secrets
from binascii import b2a_base64, b2a_qp
from datetime import datetime
from email.utils import format_datetime

from flask_mail import Message

from orderconfirm.models import Email

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+\Z")
#: RFC 2047: an encoded word has at most 75 characters, of which `=?utf-8?b?` and `?=` take 12.
_ENCODED_WORD_ROOM = 75 - 12
_LINE = 78


class OrderMessage(Message):
    """One order's confirmation, ready for `Connection.send`.

    `sender` and `recipient` are (name, ASCII address); the names may hold anything. `headers` are ASCII values of the
    service's own making.
    """

    def __init__(
        self,
        email: Email,
        *,
        sender: tuple[str, str],
        recipient: tuple[str, str],
        reply_to: str,
        message_id: str,
        date: datetime,
        headers: dict[str, str],
    ) -> None:
        # Message.__init__ is not called: it wants an app context and asks the resolver for this host's name.
        self.subject = email.subject
        self.body = email.text
        self.alts = {"html": email.html}
        self.sender = sender[1]
        self.recipients = [recipient[1]]
        self.cc = []
        self.bcc = []
        self.reply_to = reply_to
        self.date = date.timestamp()
        self.msgId = message_id
        self.charset = None
        self.extra_headers = headers
        self.mail_options = []
        self.rcpt_options = []
        self.attachments = []
        self._from = sender
        self._to = recipient
        self._sent_at = date

    def has_bad_headers(self) -> bool:
        """False: every value is encoded or cleaned on its way into the header."""
        return False

    def as_bytes(self) -> bytes:
        """The message as it goes over the wire, with CRLF."""
        # "=_" can stand in neither quoted-printable nor base64, so no part can hold the boundary (RFC 2045, 6.7).
        boundary = f"=_{secrets.token_hex(12)}"
        lines = [
            f"From: {mailbox(*self._from, used=6)}",
            f"To: {mailbox(*self._to, used=4)}",
            f"Reply-To: {self.reply_to}",
            f"Subject: {unstructured(str(self.subject), used=9)}",
            f"Date: {format_datetime(self._sent_at)}",
            f"Message-ID: {self.msgId}",
            *(f"{name}: {value}" for name, value in (self.extra_headers or {}).items()),
            "MIME-Version: 1.0",
            f'Content-Type: multipart/alternative; boundary="{boundary}"',
        ]
        head = "\r\n".join(lines).encode("ascii")
        mark = boundary.encode()
        parts = (_part(b"plain", self.body or "", mark), _part(b"html", self.alts["html"], mark))
        return b"%b\r\n\r\n%b%b--%b--\r\n" % (head, *parts, mark)


def custom_variables(values: dict[str, str]) -> str:
    """The value of X-MT-Custom-Variables: ASCII JSON, folded where JSON has blanks.

    A value too long for a line is left out: it cannot be folded, and Mailtrap ignores more than 1000 bytes altogether.
    """
    fitting = {name: value for name, value in values.items() if len(json.dumps(value)) <= _LINE - 3}
    text = json.dumps(fitting)
    if len(text) <= _LINE - len("X-MT-Custom-Variables: "):
        return text
    members = (f"{json.dumps(name)}:\r\n {json.dumps(value)}" for name, value in fitting.items())
    return "{" + ",\r\n ".join(members) + "}"


def unstructured(text: str, used: int) -> str:
    """A header value such as a subject; `used` characters of its first line are taken by the header's name."""
    text = _clean(text)
    if text.isascii() and used + len(text) <= _LINE and "=?" not in text:
        return text
    return _encoded_words(text, used)


def mailbox(name: str, address: str, used: int) -> str:
    """`name <address>` by RFC 5322, the name quoted or encoded as it needs."""
    name = _clean(name)
    if not name:
        return address
    is_plain = _ATOMS.match(name) and "  " not in name
    phrase = name if is_plain else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if not name.isascii() or len(phrase) > 60 or "=?" in name:
        return f"{_encoded_words(name, used)}\r\n <{address}>"
    fold = " " if used + len(phrase) + len(address) + 3 <= _LINE else "\r\n "
    return f"{phrase}{fold}<{address}>"


def _clean(text: str) -> str:
    """No line breaks or controls, no lone surrogates."""
    return _CONTROLS.sub(" ", text.encode("utf-8", "replace").decode()).strip()


def _encoded_words(text: str, used: int) -> str:
    """RFC 2047 words in base64, cut between characters, one a line."""
    words: list[bytes] = []
    current = b""
    room = (_ENCODED_WORD_ROOM - used) // 4 * 3
    for character in text:
        octets = character.encode()
        if current and len(current) + len(octets) > room:
            words.append(current)
            current, room = b"", _ENCODED_WORD_ROOM // 4 * 3
        current += octets
    words.append(current)
    return "\r\n ".join(f"=?utf-8?b?{b2a_base64(word, newline=False).decode()}?=" for word in words)


def _part(subtype: bytes, text: str, boundary: bytes) -> bytes:
    """A body part in quoted-printable, or in base64 where most of it is not ASCII and that is smaller."""
    raw = text.encode("utf-8", "replace").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    raw = raw.rstrip(b"\n").replace(b"\n", b"\r\n") + b"\r\n"
    if len(raw) - len(text) > len(raw) // 3:
        encoding = b"base64"
        body = b"".join(b2a_base64(raw[at : at + 57], newline=False) + b"\r\n" for at in range(0, len(raw), 57))
    else:
        # Given CRLF, b2a_qp also breaks its own soft lines with CRLF.
        encoding, body = b"quoted-printable", b2a_qp(raw, istext=True)
    head = b'Content-Type: text/%b; charset="utf-8"\r\nContent-Transfer-Encoding: %b' % (subtype, encoding)
    return b"--%b\r\n%b\r\n\r\n%b\r\n" % (boundary, head, body)
