"""gunicorn's configuration, taken from the service's settings."""

from __future__ import annotations

from typing import Any

from orderconfirm.limits import KEEP_ALIVE_SECONDS, MAX_HEADER_BYTES, MAX_HEADERS, MAX_REQUEST_LINE_BYTES
from orderconfirm.server import hooks, roles

settings = hooks.load_settings()

wsgi_app = "wsgi:app"
bind = settings.bind
workers = settings.processes
worker_class = "orderconfirm.server.gunicorn_worker.Worker"
# A thread mostly waits for its order's commit, and one commit serves all orders that wait.
threads = 32
keepalive = KEEP_ALIVE_SECONDS
# Most systems allow a process 1,024 open files; the outbox, the relay and the log need some of them.
worker_connections = 800
# sendfile would block a thread until a slow client has read the file.
sendfile = False
# Requests above these limits are refused with a problem (server/refusals.py).
limit_request_line = MAX_REQUEST_LINE_BYTES
limit_request_fields = MAX_HEADERS
limit_request_field_size = MAX_HEADER_BYTES
timeout = 60
# Longer than the dispatcher's drain, shorter than STOP_TIMEOUT.
graceful_timeout = settings.graceful_timeout
# Everything is logged to stdout, in one form.
logger_class = "orderconfirm.server.gunicorn_logger.ServiceLogger"
loglevel = settings.log_level.lower()
errorlog = None
# The control socket would be in the home directory, which a container's user does not have.
control_socket_disable = True

on_starting = hooks.on_starting
when_ready = hooks.when_ready
post_worker_init = hooks.post_worker_init
worker_exit = hooks.worker_exit


def pre_fork(server: Any, worker: Any) -> None:
    roles.assign_slot(server, worker)
    if settings.has_sender_process:
        roles.make_sender(server, worker)
