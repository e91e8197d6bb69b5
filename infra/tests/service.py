"""What the service itself says: its settings, and the metrics in its lines for CloudWatch."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
#: The service is installed here, and not where these tests run.
BIN = ROOT / ".venv" / "bin"
STARTUP_SECONDS = 60

#: A metric's name and its dimensions, in order of name.
Metric = tuple[str, tuple[tuple[str, str], ...]]

_SETTINGS = """
import dataclasses
from orderconfirm.settings import Settings
print(*(each.metadata["env"] for each in dataclasses.fields(Settings)), sep="\\n")
"""
#: gunicorn, except that the service publishes every second instead of every minute.
_SERVE = """
from gunicorn.app.wsgiapp import run
from orderconfirm.metrics import emf
emf.INTERVAL = 1.0
run()
"""


def settings() -> set[str]:
    """Return the names of the environment variables that the service reads."""
    command = [BIN / "python", "-c", _SETTINGS]
    return set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def metrics(folder: Path) -> set[Metric]:
    """Return the metrics that CloudWatch makes of the lines of a service that has sent the mail of one order."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "PORT": str(port),
        "METRICS_EMF": "true",
        "DATABASE_URL": f"sqlite:///{folder}/outbox.db",
    }
    log = folder / "service.log"
    with log.open("w") as output:
        command = [BIN / "python", "-c", _SERVE]
        service = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        try:
            _send_an_order(f"http://127.0.0.1:{port}/api/order-confirmation", service)
            _wait_for_a_line("oldest_due_seconds", log)
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(STARTUP_SECONDS)
    lines = log.read_text(encoding="utf-8").splitlines()
    return {metric for line in lines if "CloudWatchMetrics" in line for metric in _of_line(json.loads(line))}


def _send_an_order(url: str, service: subprocess.Popen[bytes]) -> None:
    order = (ROOT / "examples" / "order.json").read_bytes()
    headers = {"Content-Type": "application/json", "Prefer": "wait=30"}
    end = time.monotonic() + STARTUP_SECONDS
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, order, headers)) as response:
                assert json.load(response)["state"] == "sent"
            return
        except OSError:
            if service.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.2)


def _wait_for_a_line(text: str, log: Path) -> None:
    end = time.monotonic() + STARTUP_SECONDS
    while text not in log.read_text(encoding="utf-8"):
        assert time.monotonic() < end
        time.sleep(0.1)


def _of_line(line: dict[str, Any]) -> Iterator[Metric]:
    for directive in line["_aws"]["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            dimensions = tuple(sorted((name, line[name]) for name in names))
            yield from ((each["Name"], dimensions) for each in directive["Metrics"])
