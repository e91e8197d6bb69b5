"""The SMTP server on a loopback port that stores mails in the local inbox.

Only a service without a relay imports it, because aiosmtpd and asyncio take time and memory.
"""

from __future__ import annotations

from typing import Any

from aiosmtpd.controller import Controller

from orderconfirm.smtp.local_inbox import Inbox


class _FreePortController(Controller):
    """aiosmtpd's controller on a free port. It must know the port before it connects to itself to check the start."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        super()._trigger_server()  # type: ignore[no-untyped-call]


class InboxServer:
    """An SMTP server that stores its mails in an inbox."""

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
        """The port that the server listens on. Raises RuntimeError while it is stopped."""
        if self._controller is None:
            raise RuntimeError("the local inbox is not running")
        return int(self._controller.port)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Store a message. Called by aiosmtpd."""
        self._inbox.add(envelope.original_content)
        return "250 2.0.0 Ok: stored in the local inbox"
