"""The gunicorn worker of the service.

A worker that cannot start does not end a running service, and every failed request gets a problem.
"""

from __future__ import annotations

import mmap
import sys
import time
from contextlib import suppress
from typing import Any
from uuid import uuid4

from gunicorn.http import errors

from orderconfirm.metrics import counters
from orderconfirm.server.connections import Connection
from orderconfirm.server.poller import PollingWorker
from orderconfirm.server.refusals import refusal
from orderconfirm.server.roles import remote_sender

#: Seconds before a worker that cannot start is replaced.
RESTART_DELAY_SECONDS = 3.0

#: Minimum seconds between two reads of the sender's pipe: one read serves many new orders.
WAKE_INTERVAL = 0.005

#: Two bytes that the master shares with all workers: whether one has started, and whether one has failed to start.
_shared_flags = mmap.mmap(-1, 2)
_STARTED, _FAILED = 0, 1


class Worker(PollingWorker):
    """A worker process. With `is_sender` it only sends mails and accepts no clients."""

    is_sender = False
    #: The number of this worker's counters.
    slot = 0

    @property
    def is_first(self) -> bool:
        """Whether no worker has started yet. Only then may a failure end the service."""
        return not _shared_flags[_STARTED]

    @property
    def has_failed_before(self) -> bool:
        """Whether another worker has already reported why the service cannot start."""
        return bool(_shared_flags[_FAILED])

    def init_process(self) -> None:
        """Start and run the worker.

        gunicorn ends the service when a worker cannot start. After the first one, such a worker is replaced instead.
        """
        counters.use(self.slot)
        try:
            super().init_process()
        except (Exception, SystemExit) as exc:
            is_regular_exit = isinstance(exc, SystemExit) and not exc.code
            if self.booted or is_regular_exit:
                raise
            if self.is_first:
                self._end_service()
                raise
            self.log.error("a worker cannot start; it is replaced", extra={"reason": repr(exc)})
            time.sleep(RESTART_DELAY_SECONDS)
            sys.exit(1)

    def _end_service(self) -> None:
        """Let gunicorn end the service when this worker exits, unless it does so already because of another one.

        gunicorn itself fails when a second worker ends like that while it stops.
        """
        if self.has_failed_before:
            time.sleep(1.0)
            sys.exit(0)
        _shared_flags[_FAILED] = 1

    def run(self) -> None:
        _shared_flags[_STARTED] = 1
        if self.is_sender:
            self._run_sender()
        else:
            super().run()

    def _run_sender(self) -> None:
        for listener in self.sockets:
            # Otherwise clients could still connect while this process finishes its mails at a stop.
            listener.close()
        runtime = self.wsgi.extensions["orderconfirm"]
        while self.alive and self.is_parent_alive() and not runtime.dead_threads:
            self.notify()
            if sender := runtime.sender:
                remote_sender.report(sender.seconds_since_last_round)
            if remote_sender.wait(self.method_queue.fileno(), seconds=1.0):
                runtime.wake()
                time.sleep(WAKE_INTERVAL)

    def handle_request(self, req: Any, conn: Connection) -> Any:
        # The poller has sent "100 Continue" if it was needed; gunicorn would send it again.
        req._expected_100_continue = False
        if not conn.sock.incoming.is_complete:
            req.force_close()
        return super().handle_request(req, conn)

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        """Discard the unread rest of the body. An error there only ends the connection."""
        try:
            return keepalive and conn.parser.finish_body()
        except errors.ParseException:
            return False

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Respond with a problem to a request that is not HTTP, or that failed outside the application."""
        with suppress(OSError):
            client.sendall(refusal(exc, uuid4().hex))
