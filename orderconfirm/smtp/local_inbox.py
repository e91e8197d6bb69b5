"""The local inbox: a Maildir for the mails of a service without a relay."""

from __future__ import annotations

import json
import mailbox
import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage, Message
from email.parser import BytesHeaderParser, BytesParser
from os.path import isfile
from pathlib import Path

#: Maximum number of mails. The oldest are deleted first.
MAX_MAILS = 500
_PARSER = BytesParser(policy=policy.default)
_HEADER_PARSER = BytesHeaderParser(policy=policy.default)


@dataclass(frozen=True, slots=True)
class InboxMail:
    """A mail as shown by the inbox pages."""

    id: str
    sender: str
    to: str
    subject: str
    message_id: str
    received: datetime
    size: int
    text: str
    html: str
    source: str
    headers: tuple[tuple[str, str], ...]


class Inbox:
    """The mails in one Maildir folder. Several processes may share it: Maildir needs no lock."""

    def __init__(self, folder: Path) -> None:
        """Create nothing yet: the folder is created with the first mail."""
        self._folder = folder
        self._lock = threading.Lock()

    def add(self, source: bytes) -> None:
        """Store one message as received, and delete the oldest ones beyond MAX_MAILS."""
        with self._lock:
            box = mailbox.Maildir(self._folder)
            box.add(source)
            names = self._names()
            for name in names[: max(0, len(names) - MAX_MAILS)]:
                box.discard(name)

    def newest(self, search: str = "", skip: int = 0, limit: int = 100) -> tuple[list[InboxMail], int]:
        """Return up to `limit` mails after the newest `skip`, newest first, and the number of all matching mails.

        A mail matches when its recipient, subject or order id contains `search`, regardless of case.
        """
        query = search.strip().casefold()
        names = [name for name in reversed(self._names()) if not query or query in self._searchable_text(name)]
        mails = [mail for mail in map(self.find, names[skip : skip + limit]) if mail]
        return mails, len(names)

    def find(self, name: str) -> InboxMail | None:
        """Return one mail by its id, or None."""
        path = self._path(name)
        if path is None:
            return None
        source = path.read_bytes()
        message = _PARSER.parsebytes(source)
        return InboxMail(
            id=name,
            sender=str(message["From"]),
            to=str(message["To"]),
            subject=str(message["Subject"]),
            message_id=str(message["Message-ID"]),
            received=datetime.fromtimestamp(path.stat().st_mtime, UTC),
            size=len(source),
            text=_part(message, "plain"),
            html=_part(message, "html"),
            source=source.decode("ascii", "replace"),
            headers=tuple((header, str(value)) for header, value in message.items()),
        )

    def id_of(self, message_id: str) -> str | None:
        """Return the id of the newest mail with this Message-ID, or None."""
        for name in reversed(self._names()):
            source = self.source(name)
            if source is not None and _HEADER_PARSER.parsebytes(source)["Message-ID"] == message_id:
                return name
        return None

    def delete(self, name: str) -> None:
        """Delete one mail, if it exists."""
        path = self._path(name)
        if path is not None:
            path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Delete all mails."""
        for name in self._names():
            self.delete(name)

    def source(self, name: str) -> bytes | None:
        """Return one mail's bytes as received over SMTP, or None."""
        path = self._path(name)
        return path.read_bytes() if path else None

    def _searchable_text(self, name: str) -> str:
        """Return a mail's recipient, subject and order id, case-folded; an empty string for a deleted mail."""
        source = self.source(name)
        if source is None:
            return ""
        headers = _HEADER_PARSER.parsebytes(source)
        return f"{headers['To']}\n{headers['Subject']}\n{_order_id(headers)}".casefold()

    def _names(self) -> list[str]:
        """Return the ids, oldest first. A Maildir name begins with its time in seconds and microseconds."""
        new = self._folder / "new"
        names = [path.name for path in new.iterdir()] if new.is_dir() else []
        return sorted(names, key=lambda name: [int(number) for number in re.findall(r"[0-9]+", name)])

    def _path(self, name: str) -> Path | None:
        """Return the path of a mail; None for any other name."""
        path = self._folder / "new" / name
        # os.path.isfile returns False for a name that is too long; Path.is_file raises OSError.
        return path if path.name == name and isfile(path) else None


def _part(message: EmailMessage, subtype: str) -> str:
    part = message.get_body((subtype,))
    return str(part.get_content()) if part is not None else ""


def _order_id(headers: Message) -> str:
    """Return the order id in the custom variables that the service adds to each mail, or an empty string."""
    try:
        variables = json.loads(headers.get("X-MT-Custom-Variables", ""))
    except ValueError:
        return ""
    return str(variables.get("order_id", "")) if isinstance(variables, dict) else ""
