"""How gunicorn runs the service: from the same settings, with the dispatcher started after the fork."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from orderconfirm.errors import OrderConfirmError, SettingsError
from orderconfirm.settings import load_environment, unknown_names

try:
    settings = load_environment(os.environ)
except SettingsError as exc:
    print("orderconfirm cannot start:", *exc.problems, sep="\n  ", file=sys.stderr)
    raise SystemExit(1) from None

#: glibc's M_ARENA_MAX. Each thread would keep memory of its own for the largest body that it ever read: with 32 of them
#: and hostile bodies that is 260 MB instead of 150, and one Python thread runs at a time anyway. Other C libraries have
#: no such function, and no such habit.
_ARENA_MAX = -8
#: glibc's M_MMAP_THRESHOLD. Set, it stays: the first large body would raise it, and from then on what large bodies take
#: lies scattered between small things, and is not given back.
_MMAP_THRESHOLD = -3
with suppress(AttributeError):
    ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)
    ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 128 * 1024)

wsgi_app = "wsgi:app"
bind = settings.bind
workers = settings.workers
worker_class = "orderconfirm.server.gunicorn_worker.Worker"
# A thread waits for its order's commit, and little else: many of them make one commit serve many orders.
threads = 32
keepalive = 30
# A process may have 1,024 files open, in most places: the outbox, the relay and the log need theirs.
worker_connections = 800
# The system's would wait for clients that read slowly, past the worker's limits.
sendfile = False
# A list's filters are in the query: too long ones should get our answer, not a page of HTML.
limit_request_line = 8190
timeout = 60
# Longer than the dispatcher's drain, shorter than the platform's patience.
graceful_timeout = settings.graceful_timeout
# Its socket lies in the home directory, which a container's user does not have.
control_socket_disable = True


def on_starting(server: Any) -> None:
    """Name misspelt settings; end at once where the address cannot be listened on: gunicorn tries five times."""
    for unknown in unknown_names(os.environ):
        server.log.warning("%s", unknown)
    if server.master_pid or "LISTEN_FDS" in os.environ:
        return  # the sockets are inherited
    for address in server.cfg.address:
        if isinstance(address, tuple):
            _expect_free(*address)


def _expect_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            is_taken = exc.errno == errno.EADDRINUSE
            reason = (
                f"PORT {port} is taken: set another"
                if is_taken
                else f"it cannot listen on {host}:{port}: {exc.strerror}"
            )
            print(f"orderconfirm cannot start: {reason}", file=sys.stderr)
            raise SystemExit(1) from None


def when_ready(server: Any) -> None:
    """Keep what runs from a bad reload."""
    server.handle_hup = partial(_reload, server, server.handle_hup)


def _say_ready(log: Any) -> None:
    """Say where to look."""
    address = f"http://localhost:{settings.port}"
    places = [f"orders: {address}/api/order-confirmation"]
    if settings.has_demo_page:
        places.append(f"demo page: {address}/")
    places.append(f"local inbox: {address}/inbox" if settings.relay is None else f"relay: {settings.relay.host}")
    log.info("orderconfirm is ready. %s", ", ".join(places))


def _reload(server: Any, reload: Callable[[], None]) -> None:
    """Reload only what can be loaded: gunicorn stops the old workers before it knows that the new ones start."""
    trial = subprocess.run([sys.executable, "-c", "import wsgi"], capture_output=True, text=True)
    if trial.returncode:
        server.log.error("Not reloaded, the service goes on as it was: %s", trial.stderr.strip())
    else:
        reload()


def post_worker_init(worker: Any) -> None:
    """Threads do not survive a fork, so each worker starts its own here."""
    # Many shops may share an address, and each of them has several connections.
    worker.max_per_address = None if settings.trusted_proxies else worker_connections // 4
    service = worker.wsgi.extensions["orderconfirm"]
    try:
        # Once the service runs, a database that is away does not end it.
        service.start(keeps_trying=not worker.is_first)
    except OrderConfirmError as exc:
        print(f"orderconfirm cannot start: {exc}", file=sys.stderr)
        raise SystemExit(4) from None
    if worker.age == 1:  # once: all workers start alike
        _say_ready(worker.log)
    finish_requests = signal.getsignal(signal.SIGTERM)

    def drain(number: int, frame: Any) -> None:
        # At the signal, not when the last request is answered: a client that sends its body slowly must not cost the
        # mails in flight their time.
        service.begin_stop()
        finish_requests(number, frame)

    signal.signal(signal.SIGTERM, drain)


def worker_exit(server: Any, worker: Any) -> None:
    """Requests are finished by now: let the mails in flight finish too."""
    if app := getattr(worker, "wsgi", None):  # a worker that could not load it has none
        app.extensions["orderconfirm"].stop()
