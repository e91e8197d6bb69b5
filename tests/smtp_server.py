"""A real SMTP server on a free loopback port, which keeps what it takes and fails as it is told."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

USER, PASSWORD = "api", "s3cret-token"


class Sink:
    """Takes mails. `replies` maps a stage (MAIL, RCPT, DATA) to a list of replies, used up one a mail."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []
        self.recipients: list[str] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.sessions: set[int] = set()
        self.replies: dict[str, list[str]] = {}
        self.hang_up_after_dot = False
        self.arrived = threading.Condition()

    def scripted(self, stage: str) -> str | None:
        waiting = self.replies.get(stage)
        return waiting.pop(0) if waiting else None

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        self.sessions.add(id(session))
        if reply := self.scripted("MAIL"):
            return reply
        envelope.mail_from = address
        return "250 2.1.0 Ok"

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if reply := self.scripted("RCPT"):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.0 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if reply := self.scripted("DATA"):
            return reply
        with self.arrived:
            self.mails.append(envelope.original_content or b"")
            self.recipients += envelope.rcpt_tos
            self.arrived.notify_all()
        if self.hang_up_after_dot:
            self.hang_up_after_dot = False
            server.transport.abort()
            await asyncio.sleep(0)
        return "250 2.0.0 Ok: queued"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        self.logins.append((data.login, data.password))
        is_right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=is_right, handled=False)

    def wait_for(self, count: int, seconds: float = 15) -> list[bytes]:
        """The mails, once there are `count` of them; fails when they do not come in time."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.mails) >= count, seconds), (
                f"{len(self.mails)} of {count} mails"
            )
            return list(self.mails)


class _Controller(Controller):
    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def smtp_server(tls: ssl.SSLContext | None = None, implicit: bool = False, port: int = 0) -> Iterator[tuple[Sink, int]]:
    """A running server: its sink and its port. With `tls` it demands STARTTLS (or speaks TLS at once) and a login."""
    sink = Sink()
    options: dict[str, Any] = {}
    if tls is not None:
        options = {"authenticator": sink.authenticate, "auth_required": True, "auth_require_tls": not implicit}
        options |= {"ssl_context": tls} if implicit else {"tls_context": tls, "require_starttls": True}
    controller = _Controller(sink, hostname="127.0.0.1", port=port, ready_timeout=10, **options)
    controller.start()
    try:
        yield sink, controller.port
    finally:
        controller.stop()
