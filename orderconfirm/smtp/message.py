"""The finished mail: an RFC 5322 message in ASCII with lines of at most 78 characters.

Flask-Mail's message has 8-bit bodies, lines of any length, a new Message-ID for each retry and a `mixed` part around
the `alternative`, and it cuts a sender's name at the first comma. `email.message.EmailMessage` is correct, but takes
twenty times as long. `OrderMessage` is correct and fast, and can be sent by Flask-Mail's `Connection.send`.
"""

from __future__ import annotations

import json
import re
from binascii import b2a_base64, b2a_qp
from datetime import datetime
from email.utils import format_datetime
from random import getrandbits

from flask_mail import Message

from orderconfirm.models import Email

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+\Z")
#: Base64 characters in an encoded word: at most 75 (RFC 2047), minus 12 for `=?utf-8?b?` and `?=`.
_MAX_ENCODED_LENGTH = 75 - 12
_MAX_LINE_LENGTH = 78


class OrderMessage(Message):
    """An order's confirmation, ready for `Connection.send`.

    `sender` and `recipient` are (name, ASCII address), with any text as name. `headers` are additional headers with
    ASCII values.
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
        # Message.__init__ is not called: it requires an app context and makes a DNS query for this host's name.
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
        self._wire_format: bytes | None = None

    @property
    def envelope(self) -> tuple[str, str]:
        """The addresses of the sender and the recipient."""
        return self._from[1], self._to[1]

    def has_bad_headers(self) -> bool:
        """Return False: `as_bytes` encodes or cleans every header value."""
        return False

    def as_bytes(self) -> bytes:
        """Return the message in wire format, with CRLF line endings. It is the same each time."""
        if self._wire_format is None:
            self._wire_format = self._build()
        return self._wire_format

    def _build(self) -> bytes:
        # "=_" occurs in neither quoted-printable nor base64, so no part can contain the boundary (RFC 2045, 6.7).
        boundary = f"=_{getrandbits(96):024x}"  # noqa: S311
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
        marker = boundary.encode()
        parts = (_part(b"plain", self.body or "", marker), _part(b"html", self.alts["html"], marker))
        return b"%b\r\n\r\n%b%b--%b--\r\n" % (head, *parts, marker)


def custom_variables(values: dict[str, str]) -> str:
    """Return ASCII JSON, folded at the blanks between its members, for X-MT-Custom-Variables.

    It suits any provider's JSON header whose name is no longer. A value too long for a line is left out, because it
    cannot be folded. Mailtrap ignores the whole header above 1000 bytes.
    """
    short_values = {name: value for name, value in values.items() if len(json.dumps(value)) <= _MAX_LINE_LENGTH - 3}
    text = json.dumps(short_values)
    if len(text) <= _MAX_LINE_LENGTH - len("X-MT-Custom-Variables: "):
        return text
    members = (f"{json.dumps(name)}:\r\n {json.dumps(value)}" for name, value in short_values.items())
    return "{" + ",\r\n ".join(members) + "}"


def unstructured(text: str, used: int) -> str:
    """Return an unstructured header value, like a subject. `used` is the length of the header's name with `: `."""
    text = _clean(text)
    if text.isascii() and used + len(text) <= _MAX_LINE_LENGTH and "=?" not in text:
        return text
    return _encoded_words(text, used)


def mailbox(name: str, address: str, used: int) -> str:
    """Return `name <address>` (RFC 5322), the name quoted or encoded if necessary. `used` as in `unstructured`."""
    name = _clean(name)
    if not name:
        return address
    is_plain = _ATOMS.match(name) and "  " not in name
    phrase = name if is_plain else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if not name.isascii() or len(phrase) > 60 or "=?" in name:
        return f"{_encoded_words(name, used)}\r\n <{address}>"
    fold = " " if used + len(phrase) + len(address) + 3 <= _MAX_LINE_LENGTH else "\r\n "
    return f"{phrase}{fold}<{address}>"


def _clean(text: str) -> str:
    """Return `text` without control characters, line breaks and lone surrogates."""
    return _CONTROLS.sub(" ", text.encode("utf-8", "replace").decode()).strip()


def _encoded_words(text: str, used: int) -> str:
    """Return `text` as RFC 2047 words in base64, one per line, split between characters."""
    words: list[bytes] = []
    current = b""
    max_octets = (_MAX_ENCODED_LENGTH - used) // 4 * 3
    for character in text:
        octets = character.encode()
        if current and len(current) + len(octets) > max_octets:
            words.append(current)
            current, max_octets = b"", _MAX_ENCODED_LENGTH // 4 * 3
        current += octets
    words.append(current)
    return "\r\n ".join(f"=?utf-8?b?{b2a_base64(word, newline=False).decode()}?=" for word in words)


def _part(subtype: bytes, text: str, boundary: bytes) -> bytes:
    """Return a body part in quoted-printable, or in base64 for mostly non-ASCII text, where base64 is shorter."""
    raw = text.encode("utf-8", "replace").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    raw = raw.rstrip(b"\n").replace(b"\n", b"\r\n") + b"\r\n"
    if len(raw) - len(text) > len(raw) // 3:
        encoding = b"base64"
        body = b"".join(b2a_base64(raw[at : at + 57], newline=False) + b"\r\n" for at in range(0, len(raw), 57))
    else:
        # With CRLF in its input, b2a_qp also uses CRLF for its soft line breaks.
        encoding, body = b"quoted-printable", b2a_qp(raw, istext=True)
    head = b'Content-Type: text/%b; charset="utf-8"\r\nContent-Transfer-Encoding: %b' % (subtype, encoding)
    return b"--%b\r\n%b\r\n\r\n%b\r\n" % (boundary, head, body)
