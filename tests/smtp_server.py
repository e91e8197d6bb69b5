"""A real SMTP server on a free loopback port, which keeps what it takes and fails as it is told."""

from __future__ import annotations

import asyncio
import re
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

USER, PASSWORD = "api", "s3cret-token"

#: What a fault may ask for instead of a reply: to cut the connection, or never to answer.
DROP, HANG = "drop", "hang"

#: How many times as long as usual a busy machine may take for what a test waits for.
SLOWDOWN = 4


class Sink:
    """Takes mails, and keeps the whole of each.

    `refused` maps recipients to the reply that each gets at RCPT. `replies` maps a stage (MAIL, RCPT, DATA) to replies
    that are used up one a mail. `fault` is asked at each stage and for each mail (counted from 1) and answers with a
    reply, DROP, HANG or None; at DATA a mail that is dropped is kept. While `held_at` names a stage (MAIL, RCPT, DATA
    or QUIT for the command, DOT for the finished message) nothing is answered there; `reached` is set once somebody
    waits.
    `most_connections` may be open at once. With `pipelining` it offers PIPELINING, and `overlapped` holds the
    numbers of the mails that came together with the next envelope. `most_open` connections were open at once.
    """

    def __init__(self, pipelining: bool = False) -> None:
        self.pipelining = pipelining
        self.overlapped: set[int] = set()
        self.mails: list[bytes] = []
        self.recipients: list[str] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.user, self.password = USER, PASSWORD
        self.sessions: set[int] = set()
        self.replies: dict[str, list[str]] = {}
        self.refused: dict[str, str] = {}
        self.fault: Callable[[str, int], str | None] = lambda stage, number: None
        self.dropped: list[bytes] = []
        self.begun = 0
        self.most_connections = 1000
        self.turned_away = 0
        self.disconnect_after_end_of_data = False
        self.held_at: str | None = None
        self.reached = threading.Event()
        self.arrived = threading.Condition()
        self.open_servers: set[SMTP] = set()
        self.most_open = 0

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        if len(self.open_servers) > self.most_connections:
            self.turned_away += 1
            return ["421 4.7.0 Too many connections"]
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", *responses[-1:]] if self.pipelining else responses

    async def handle_HELO(self, server: SMTP, session: Session, envelope: Envelope, hostname: str) -> str:
        return "421 4.7.0 Too many connections"

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        self.sessions.add(id(session))
        self.begun += 1
        envelope.number = self.begun
        await self.hold("MAIL")
        if reply := await self._refusal("MAIL", server, envelope):
            return reply
        envelope.mail_from = address
        return "250 2.1.0 Ok"

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        await self.hold("RCPT")
        if address in self.refused:
            return self.refused[address]
        if reply := await self._refusal("RCPT", server, envelope):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.0 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if server.transport.is_closing():
            return "421 4.3.2 Shutting down"
        content = envelope.original_content or b""
        if server._reader._buffer.startswith(b"MAIL FROM"):
            self.overlapped.add(envelope.number)
        reply = await self._refusal("DATA", server, envelope)
        if reply and reply != DROP:
            return reply
        with self.arrived:
            self.mails.append(content)
            self.recipients += envelope.rcpt_tos
            if reply == DROP or self.disconnect_after_end_of_data:
                self.dropped.append(content)
            self.arrived.notify_all()
        await self.hold("DOT")
        if self.disconnect_after_end_of_data:
            self.disconnect_after_end_of_data = False
            server.transport.abort()
        return "250 2.0.0 Ok: queued"

    async def hold(self, stage: str) -> None:
        if self.held_at == stage:
            self.reached.set()
            while self.held_at == stage:
                await asyncio.sleep(0.005)

    async def _refusal(self, stage: str, server: SMTP, envelope: Envelope) -> str | None:
        waiting = self.replies.get(stage)
        if waiting:
            return waiting.pop(0)
        fault = self.fault(stage, envelope.number)
        if fault == HANG:
            await asyncio.sleep(3600)
        if fault == DROP:
            server.transport.abort()
        return fault

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        self.logins.append((data.login, data.password))
        is_right = (data.login, data.password) == (self.user.encode(), self.password.encode())
        return AuthResult(success=is_right, handled=False)

    def wait_for(self, count: int, seconds: float = 15) -> list[bytes]:
        """The mails, once there are `count` of them; fails when they do not come in time."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.mails) >= count, seconds * SLOWDOWN), (
                f"{len(self.mails)} of {count} mails"
            )
            return list(self.mails)

    def wait_for_orders(self, count: int, seconds: float) -> Counter[str]:
        """How many mails arrived for each order, once there are `count` orders."""
        with self.arrived:
            came = self.arrived.wait_for(lambda: len(orders_of(self.mails)) >= count, seconds * SLOWDOWN)
            assert came, f"{len(orders_of(self.mails))} of {count} orders"
            return orders_of(self.mails)


def orders_of(mails: list[bytes]) -> Counter[str]:
    """The order numbers (like K12) in the mails' subjects, counted."""
    found = (re.search(rb"Order (K\d+) confirmed", mail) for mail in mails)
    return Counter(match[1].decode() for match in found if match)


class _StagedSMTP(SMTP):
    async def smtp_DATA(self, argument: str) -> None:
        await self.event_handler.hold("DATA")
        await super().smtp_DATA(argument)

    async def smtp_QUIT(self, argument: str) -> None:
        await self.event_handler.hold("QUIT")
        await super().smtp_QUIT(argument)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.event_handler.open_servers.add(self)
        self.event_handler.most_open = max(self.event_handler.most_open, len(self.event_handler.open_servers))
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.event_handler.open_servers.discard(self)
        super().connection_lost(error)


class _Controller(Controller):
    def factory(self) -> SMTP:
        return _StagedSMTP(self.handler, **self.SMTP_kwargs)

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def smtp_server(
    tls: ssl.SSLContext | None = None, implicit: bool = False, port: int = 0, sink: Sink | None = None
) -> Iterator[tuple[Sink, int]]:
    """A running server: its sink and its port. With `tls` it demands STARTTLS (or speaks TLS at once) and a login.

    At the end it cuts whatever is still open, as a relay that goes away does.
    """
    sink = sink or Sink()
    options: dict[str, Any] = {}
    if tls is not None:
        options = {"authenticator": sink.authenticate, "auth_required": True, "auth_require_tls": not implicit}
        options |= {"ssl_context": tls} if implicit else {"tls_context": tls, "require_starttls": True}
    controller = _Controller(sink, hostname="127.0.0.1", port=port, ready_timeout=10, **options)
    controller.start()
    try:
        yield sink, controller.port
    finally:
        sink.held_at = None
        asyncio.run_coroutine_threadsafe(_hang_up(sink, controller.server), controller.loop).result(40)
        controller.stop()


async def _hang_up(sink: Sink, listener: asyncio.Server) -> None:
    for each in listener.sockets:
        asyncio.get_running_loop().remove_reader(each.fileno())
    # What is accepted by now gets its server first: a listener that is closed in between leaves it open and unserved.
    await asyncio.sleep(0.05)
    listener.close()
    for server in list(sink.open_servers):
        server.transport.close()
    await asyncio.sleep(0.01)
    for server in list(sink.open_servers):  # TLS waits for the other side's goodbye
        server.transport.abort()
    await asyncio.sleep(0.01)
