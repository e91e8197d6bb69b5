"""The service itself: processes, time limits, keys, and the requirements of the relay's provider."""

from __future__ import annotations

import os
import resource
import shlex
from argparse import Namespace
from collections.abc import Iterator, Mapping

from gunicorn.config import Config

from orderconfirm.checks.findings import Finding, error, ok, warning
from orderconfirm.limits import KEEP_ALIVE_SECONDS
from orderconfirm.settings import Settings

#: Seconds after which AWS's load balancer closes an idle connection. Others wait as long or less.
BALANCER_IDLE_SECONDS = 60
#: A process has up to 800 client connections, and files and connections for its database, relay and log.
MIN_OPEN_FILES = 1024
#: Mailtrap's limits for an account and for a connection.
MAILTRAP_CONNECTIONS = 10
MAILTRAP_MAILS = 100


def examine_service(settings: Settings, environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Examine what depends only on the settings and this machine."""
    yield _processes(settings)
    try:
        arguments = _gunicorn_arguments(environ)
    except (SystemExit, ValueError):
        yield error("GUNICORN_CMD_ARGS", "gunicorn cannot read it", "correct or remove it")
    else:
        yield _timeouts(settings, arguments)
        yield _keep_alive(arguments)
    yield _open_files()
    yield _keys(settings)
    yield from _mailtrap(settings)


def _processes(settings: Settings) -> Finding:
    if not settings.takes_orders:
        return ok("processes", "1 that sends, and takes no orders")
    if settings.sender_role == "off":
        sending = "none sends"
    else:
        sending = "1 that sends" if settings.has_sender_process else "each of them sends too"
    return ok("processes", f"{settings.workers} for orders, {sending}")


def _gunicorn_arguments(environ: Mapping[str, str]) -> Namespace:
    """Return gunicorn's options in GUNICORN_CMD_ARGS, which override gunicorn.conf.py. Those not set are None."""
    arguments = shlex.split(environ.get("GUNICORN_CMD_ARGS", ""))
    options: Namespace = Config().parser().parse_args(arguments)
    return options


def _timeouts(settings: Settings, arguments: Namespace) -> Finding:
    name = "timeouts"
    graceful = arguments.graceful_timeout or settings.graceful_timeout
    order = (
        f"MAIL_TIMEOUT {settings.mail_timeout} s < drain {settings.drain_seconds} s < graceful {graceful} s "
        f"< STOP_TIMEOUT {settings.stop_timeout} s"
    )
    if not settings.drain_seconds < graceful < settings.stop_timeout:
        found = f"not in this order: {order}"
        return error(name, found, "remove --graceful-timeout from GUNICORN_CMD_ARGS")
    return ok(name, order)


def _keep_alive(arguments: Namespace) -> Finding:
    seconds = KEEP_ALIVE_SECONDS if arguments.keepalive is None else arguments.keepalive
    found = f"idle connections are kept for {seconds} s"
    if seconds <= BALANCER_IDLE_SECONDS:
        advice = f"remove --keep-alive from GUNICORN_CMD_ARGS: balancers reuse them for {BALANCER_IDLE_SECONDS} s"
        return warning("keep-alive", found, advice)
    return ok("keep-alive", f"{found}, longer than a load balancer reuses them ({BALANCER_IDLE_SECONDS} s)")


def _open_files() -> Finding:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= limit < MIN_OPEN_FILES:
        advice = f"raise the limit to {MIN_OPEN_FILES} or more (ulimit -n, LimitNOFILE, or the container's ulimits)"
        return warning("open files", f"at most {limit} for a process", advice)
    return ok("open files", "no limit" if limit < 0 else f"up to {limit} for a process")


def _keys(settings: Settings) -> Finding:
    if settings.api_keys:
        shops = sorted({key.shop for key in settings.api_keys})
        return ok("API keys", f"for {', '.join(shops)}")
    if settings.takes_orders and not settings.bind.startswith(("127.0.0.1:", "[::1]:", "localhost:")):
        found = f"none, and the service listens on {settings.bind}: anyone who reaches it can place orders"
        return warning("API keys", found, "set API_KEYS, or remove HOST")
    return ok("API keys", "none, and only this machine can place orders")


def _mailtrap(settings: Settings) -> Iterator[Finding]:
    """Examine what Mailtrap needs. Connections are shared by all processes of one outbox, so the setting is the sum."""
    relay = settings.relay
    if relay is None or not relay.host.endswith(".mailtrap.io"):
        return
    for variable, value, limit, unit in (
        ("MAIL_MAX_CONNECTIONS", settings.mail_max_connections, MAILTRAP_CONNECTIONS, "an account"),
        ("MAIL_MAX_PER_CONNECTION", settings.mail_max_per_connection, MAILTRAP_MAILS, "a connection"),
    ):
        if value > limit:
            found = f"{variable} is {value}, but Mailtrap allows {limit} for {unit}"
            yield warning("relay limits", found, f"set {variable}={limit}")
    if not settings.mailtrap_webhook_secret and not relay.host.startswith("sandbox."):
        found = "MAILTRAP_WEBHOOK_SECRET is not set: bounces stay unknown, and mail still goes to dead addresses"
        yield warning("webhook", found, "add a webhook in Mailtrap (docs/api.md), and set its signing secret")
