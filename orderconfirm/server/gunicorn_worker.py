"""gunicorn's worker as the service needs it: a running service outlives it, and its refusals are problems."""

from __future__ import annotations

import mmap
import sys
import time
from contextlib import suppress
from typing import Any
from uuid import uuid4

from gunicorn.http import errors

from orderconfirm.server.connections import Connection
from orderconfirm.server.poller import PollingWorker
from orderconfirm.server.refusals import refusal

#: Seconds until another worker is started in place of one that could not start.
RESTART_SECONDS = 3.0

#: One byte, which the master shares with all its workers: 1 once a worker has started.
_HAS_STARTED = mmap.mmap(-1, 1)


class Worker(PollingWorker):
    """One process of the service."""

    @property
    def is_first(self) -> bool:
        """Whether no worker of this service has started yet: only then the service itself may refuse to start."""
        return not _HAS_STARTED[0]

    def init_process(self) -> None:
        """Start and run. The master would end the service for a worker that does not start; a later one is replaced."""
        try:
            super().init_process()
        except (Exception, SystemExit) as failure:
            is_wanted = isinstance(failure, SystemExit) and not failure.code
            if self.booted or self.is_first or is_wanted:
                raise
            self.log.error("a worker cannot start; another one is tried in %d s: %r", RESTART_SECONDS, failure)
            time.sleep(RESTART_SECONDS)
            sys.exit(1)

    def run(self) -> None:
        _HAS_STARTED[0] = 1
        super().run()

    def handle_request(self, req: Any, conn: Connection) -> Any:
        req._expected_100_continue = False  # gunicorn would say it now, with the body here already or given up
        if not conn.sock.incoming.is_whole:
            req.force_close()
        return super().handle_request(req, conn)

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        """Drop what the application did not read of the body; as it is answered, it is not refused any more."""
        try:
            return keepalive and conn.parser.finish_body()
        except errors.ParseException:
            return False

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """What is not HTTP never reaches the application; it gets a problem all the same."""
        if not isinstance(exc, errors.ParseException):
            super().handle_error(req, client, addr, exc)
            return
        request_id = uuid4().hex
        self.log.warning("a request that is not HTTP: %s (request %s)", type(exc).__name__, request_id)
        with suppress(OSError):
            client.sendall(refusal(exc, request_id))
