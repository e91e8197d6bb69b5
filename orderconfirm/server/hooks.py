"""gunicorn's server hooks: start, reload and stop of the service.

gunicorn's master imports this module, so it must not import Flask or the application.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn

from gunicorn.util import parse_address

from orderconfirm.errors import CHECK_HINT, DatabaseUnreachable, OrderConfirmError, SettingsError
from orderconfirm.server.memory import freeze_gc, tune_allocator
from orderconfirm.server.roles import remote_sender, remove_worker, retire_sender
from orderconfirm.settings import Settings, load_environment, unknown_names

log = logging.getLogger(__name__)

#: Seconds for which the first start tries to reach the database, and between two tries.
START_TIMEOUT = 60.0
RESTART_INTERVAL = 3.0

#: A worker's exit code at which gunicorn ends the service instead of starting another worker.
_APP_LOAD_ERROR = 4
#: Seconds between two signs of life of a worker that starts.
NOTIFY_INTERVAL = 0.5


def load_settings() -> Settings:
    """Return the settings of the environment. Ends the process with one line per problem when they are not valid."""
    try:
        return load_environment(os.environ)
    except SettingsError as exc:
        print("orderconfirm cannot start:", *exc.problems, CHECK_HINT, sep="\n  ", file=sys.stderr)
        raise SystemExit(1) from None


def on_starting(server: Any) -> None:
    """Prepare the master: warn about unknown settings, and end at once when an address cannot be bound.

    gunicorn itself would try an address five times.
    """
    tune_allocator()
    for warning in unknown_names(os.environ):
        log.warning("a setting is unknown", extra={"reason": warning})
    if server.master_pid or "LISTEN_FDS" in os.environ:
        return  # the sockets are inherited
    for address in server.cfg.address:
        if isinstance(address, tuple) and (problem := _address_problem(*address)):
            _exit(1, problem)


def when_ready(server: Any) -> None:
    """Replace gunicorn's reload, which stops the old workers before new ones are known to start.

    Also replace its SIGTTOU handler, which would stop the only worker that handles requests.
    """
    server.handle_hup = partial(_reload, server, server.handle_hup)
    server.handle_ttou = partial(remove_worker, server, server.handle_ttou)


def post_worker_init(worker: Any) -> None:
    """Start the runtime in a worker, because threads do not survive a fork."""
    runtime = worker.wsgi.extensions["orderconfirm"]
    # Behind a proxy all clients share an address. Otherwise one address may use a quarter of the connections: several
    # shops may share it, with several connections each.
    worker.max_per_address = None if runtime.settings.trusted_proxies else worker.cfg.worker_connections // 4
    try:
        with _kept_alive(worker):
            _start(runtime, worker)
    except OrderConfirmError as exc:
        if worker.has_failed_before:
            raise SystemExit(_APP_LOAD_ERROR) from None
        _exit(_APP_LOAD_ERROR, f"{exc}\n{CHECK_HINT}")
    if worker.age == (2 if runtime.settings.has_sender_process else 1):  # once per service, not once per worker
        _log_ready(runtime.settings)
    _begin_stop_at_sigterm(runtime)
    freeze_gc()


def _start(runtime: Any, worker: Any) -> None:
    """Start the runtime. The service's first start waits START_TIMEOUT for a database that cannot be reached."""
    sends_itself = worker.is_sender or not runtime.settings.has_sender_process
    give_up_at = time.monotonic() + START_TIMEOUT
    while True:
        try:
            runtime.start(not worker.is_first, remote_sender=None if sends_itself else remote_sender)
            return
        except DatabaseUnreachable as exc:
            if time.monotonic() > give_up_at or not worker.alive:
                raise
            extra = {"reason": str(exc), "seconds_at_most": round(give_up_at - time.monotonic())}
            log.warning("the database cannot be reached; trying again", extra=extra)
        time.sleep(RESTART_INTERVAL)


def worker_exit(server: Any, worker: Any) -> None:
    """Stop the runtime after the last request: it finishes the mails in flight."""
    if app := getattr(worker, "wsgi", None):  # None if the worker could not load it
        app.extensions["orderconfirm"].stop()


@contextmanager
def _kept_alive(worker: Any) -> Iterator[None]:
    """Show the master that the worker lives: a migration may take longer than the worker's timeout."""
    is_over = threading.Event()

    def notify() -> None:
        while not is_over.wait(NOTIFY_INTERVAL):
            worker.notify()

    thread = threading.Thread(target=notify, name="heartbeat")
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _begin_stop_at_sigterm(runtime: Any) -> None:
    """Start to drain the mails at SIGTERM.

    Waiting for the last request would be too late: a client that sends its body slowly would use up the mails' time.
    """
    stop_worker = signal.getsignal(signal.SIGTERM)

    def handle_sigterm(number: int, frame: Any) -> None:
        runtime.begin_stop()
        stop_worker(number, frame)  # type: ignore[operator,misc]

    signal.signal(signal.SIGTERM, handle_sigterm)


def _address_problem(host: str, port: int) -> str | None:
    """Return why an address cannot be bound, or None."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                return f"PORT {port} is taken: set another one"
            return f"it cannot listen on {host}:{port}: {exc.strerror}"
    return None


def _reload(server: Any, reload: Callable[[], None]) -> None:
    if problem := _reload_problem(server.cfg.address):
        log.error("not reloaded; the service continues unchanged", extra={"reason": problem})
    else:
        retire_sender(server)
        reload()


def _reload_problem(bound: list[Any]) -> str | None:
    """Return why the current settings and templates cannot be loaded, or None. `bound` are the addresses in use."""
    load = "import wsgi; print(wsgi.app.extensions['orderconfirm'].settings.bind)"
    trial = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True)  # noqa: S603
    if trial.returncode:
        return trial.stderr.strip()
    address = parse_address(trial.stdout.split()[-1])
    return None if address in bound else _address_problem(*address)


def _log_ready(settings: Settings) -> None:
    address = f"http://localhost:{settings.port}"
    places = {
        "orders": f"{address}/api/order-confirmation",
        "demo_page": f"{address}/" if settings.has_demo_page else None,
        "outbox": f"{address}/outbox" if settings.has_outbox_page else None,
        "local_inbox": None if settings.relay else f"{address}/inbox",
        "relay": settings.relay.host if settings.relay else None,
    }
    log.info("orderconfirm is ready", extra=places)


def _exit(code: int, reason: str) -> NoReturn:
    print(f"orderconfirm cannot start: {reason}", file=sys.stderr)
    raise SystemExit(code)
