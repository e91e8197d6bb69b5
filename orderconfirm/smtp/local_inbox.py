"""The local inbox: an SMTP server on a loopback port that keeps what it gets in a Maildir, for runs without a relay."""

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
from typing import Any

from aiosmtpd.controller import Controller

#: Mails kept, the oldest go first: an inbox for trying things, not an archive.
MAX_KEPT = 500
_PARSER = BytesParser(policy=policy.default)
_HEADER_PARSER = BytesHeaderParser(policy=policy.default)


@dataclass(frozen=True, slots=True)
class InboxMail:
    """A mail as the inbox pages show it."""

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
    """The mails of one folder. Several processes may share it: Maildir needs no lock."""

    def __init__(self, folder: Path) -> None:
        """Opens nothing; the folder is made with the first mail."""
        self._folder = folder
        self._lock = threading.Lock()

    def add(self, source: bytes) -> None:
        """Keep one message as it came."""
        with self._lock:
            box = mailbox.Maildir(self._folder)
            box.add(source)
            names = self._names()
            for name in names[: max(0, len(names) - MAX_KEPT)]:
                box.discard(name)

    def newest(self, search: str = "", skip: int = 0, most: int = 100) -> tuple[list[InboxMail], int]:
        """The newest mails first, `most` of them after the first `skip`, and how many there are in all.

        They are those whose recipient, subject or order id holds `search`, in upper or lower case.
        """
        wanted = search.strip().casefold()
        names = [name for name in reversed(self._names()) if not wanted or wanted in self._head(name)]
        found = [mail for mail in map(self.find, names[skip : skip + most]) if mail]
        return found, len(names)

    def find(self, name: str) -> InboxMail | None:
        """One mail by its id, or None."""
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

    def source(self, name: str) -> bytes | None:
        """One mail's bytes, as they came over SMTP."""
        path = self._path(name)
        return path.read_bytes() if path else None

    def _head(self, name: str) -> str:
        """What a mail is searched by, in lower case; nothing for one that is gone."""
        source = self.source(name)
        if source is None:
            return ""
        headers = _HEADER_PARSER.parsebytes(source)
        return f"{headers['To']}\n{headers['Subject']}\n{_order_id(headers)}".casefold()

    def _names(self) -> list[str]:
        """Ids, oldest first: a Maildir name is the time it was made, in seconds and microseconds, and more numbers."""
        new = self._folder / "new"
        names = [path.name for path in new.iterdir()] if new.is_dir() else []
        return sorted(names, key=lambda name: [int(number) for number in re.findall(r"[0-9]+", name)])

    def _path(self, name: str) -> Path | None:
        """Where a mail lies; None for what is no mail of this folder."""
        path = self._folder / "new" / name
        # os.path's isfile has an answer for names that no file can have, too.
        return path if path.name == name and isfile(path) else None


class _FreePortController(Controller):
    """aiosmtpd's controller on a port that the system chooses: it must learn it before it knocks on its own door."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        super()._trigger_server()  # type: ignore[no-untyped-call]


class InboxServer:
    """The SMTP server in front of an inbox. `port` is known once it runs."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._controller: _FreePortController | None = None

    def start(self) -> None:
        self._controller = _FreePortController(self, hostname="127.0.0.1", port=0, ready_timeout=10)
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    @property
    def port(self) -> int:
        """The port it listens on. Raises RuntimeError while it does not."""
        if self._controller is None:
            raise RuntimeError("the local inbox is not running")
        return int(self._controller.port)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """aiosmtpd calls this for each message."""
        self._inbox.add(envelope.original_content)
        return "250 2.0.0 Ok: kept in the local inbox"


def _part(message: EmailMessage, subtype: str) -> str:
    part = message.get_body((subtype,))
    return str(part.get_content()) if part is not None else ""


def _order_id(headers: Message) -> str:
    """The one in the custom variables that we send with a mail; empty where there is none."""
    try:
        variables = json.loads(headers.get("X-MT-Custom-Variables", ""))
    except ValueError:
        return ""
    return str(variables.get("order_id", "")) if isinstance(variables, dict) else ""
