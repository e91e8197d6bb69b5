"""gunicorn's threaded worker, for callers that do not mean well: they get a limit of time, and our kind of answer."""

from __future__ import annotations

import json
import socket
import time
from contextlib import suppress
from typing import Any

from gunicorn.http import errors
from gunicorn.util import write_nonblock
from gunicorn.workers.gthread import ThreadWorker

#: Seconds that a request, its head and its body, may take to come in.
READ_SECONDS = 10.0


class Worker(ThreadWorker):  # type: ignore[misc]
    """A request that does not come in whole in time is read no further; its thread is free for others."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._since: dict[Any, float] = {}

    def handle(self, conn: Any) -> Any:
        self._since[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            self._since.pop(conn, None)

    def notify(self) -> None:
        """Called by the main loop about once a second."""
        super().notify()
        latest = time.monotonic() - READ_SECONDS
        for conn, since in self._since.copy().items():
            if since < latest:
                # Whoever still reads sees the end of it; an answer that takes longer (Prefer: wait) is not touched.
                with suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RD)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """What is not HTTP never reaches the application; it gets a problem all the same."""
        if not isinstance(exc, errors.ParseException):
            super().handle_error(req, client, addr, exc)
            return
        self.log.warning("a request that is not HTTP: %s", type(exc).__name__)
        with suppress(OSError):
            write_nonblock(client, _refusal(exc))


def _refusal(wrong: Exception) -> bytes:
    # Imported here: gunicorn's master reads this module too, and needs nothing of the application.
    from orderconfirm.web import kinds

    if isinstance(wrong, errors.LimitRequestLine):
        kind = kinds.URI_TOO_LONG
    elif isinstance(wrong, errors.LimitRequestHeaders):
        kind = kinds.HEADERS_TOO_LARGE
    else:
        kind = kinds.BAD_REQUEST
    detail = "The request is not HTTP as RFC 9112 has it." if kind is kinds.BAD_REQUEST else kind.detail
    body = json.dumps({**kind.example, "detail": detail}).encode()
    head = (
        f"HTTP/1.1 {kind.status} {kind.title}",
        "Connection: close",
        f"Content-Type: {kinds.MIMETYPE}",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*head, "", "")).encode() + body
