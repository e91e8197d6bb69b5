"""The service as an operator runs it: gunicorn in production mode, an API key, a relay with STARTTLS and a login."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cpu_limit import CpuLimit
from benchmarks.orders import API_KEY, ROOT
from benchmarks.processes import cpu_seconds

#: Overrides variables that may be set in the caller's environment.
NOTHING_ELSE = {"MAILTRAP_API_TOKEN": "", "MAILTRAP_SANDBOX_USER": "", "MAILTRAP_SANDBOX_PASSWORD": ""}
START_SECONDS = 60.0
POLL_SECONDS = 0.01


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Service:
    """A running service: its process, which leads a session, and the seconds until it was ready."""

    pid: int
    port: int
    start_seconds: float

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)


def production_variables(folder: Path, port: int) -> dict[str, str]:
    return {
        "APP_ENV": "production",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "API_KEYS": f"shop:{API_KEY}",
        "DATABASE_URL": f"sqlite:///{folder}/outbox.db",
        "MAIL_MAX_CONNECTIONS": "32",
    }


@contextmanager
def service(
    folder: Path, relay_variables: dict[str, str], limit: CpuLimit | None = None, **more: str
) -> Iterator[Service]:
    """Run the service with its outbox and its log in `folder`."""
    port = free_port()
    environ = {**os.environ, **NOTHING_ELSE, **production_variables(folder, port), **relay_variables, **more}
    command = [sys.executable, "-m", "gunicorn"]
    command = limit.command(*command) if limit else command
    with running(command, environ, ROOT, folder / "service.log", port, "/ready") as ready:
        yield ready


@contextmanager
def running(
    command: list[str], environ: dict[str, str], cwd: Path, log_file: Path, port: int, ready_path: str
) -> Iterator[Service]:
    """Run a server as the leader of a session, and stop its whole session at the end."""
    began = time.monotonic()
    with log_file.open("ab") as log:
        process = subprocess.Popen(command, cwd=cwd, env=environ, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_until_ready(process, f"http://127.0.0.1:{port}{ready_path}", log_file)
        yield Service(process.pid, port, time.monotonic() - began)
    finally:
        _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log_file: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with suppress(OSError), urllib.request.urlopen(url, timeout=START_SECONDS):
            return
        time.sleep(POLL_SECONDS)
    raise SystemExit(f"the server did not start:\n{log_file.read_text(encoding='utf-8')[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
