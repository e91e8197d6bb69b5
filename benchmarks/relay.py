"""The SMTP sink as a child process with a temporary certificate, and the mails that it received."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from benchmarks.orders import ROOT, relay_variables
from benchmarks.processes import cpu_seconds
from benchmarks.smtp_sink import PASSWORD, USER

POLL_SECONDS = 0.02
COUNTERS = ("connections", "most_open", "logins", "mails", "mail_round_trips")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A mail: the time of its 250 reply, its order and its bytes."""

    at: float
    order_id: str
    size: int


class Relay:
    """A running sink."""

    def __init__(self, process: subprocess.Popen[str], port: int, log: Path, ca_file: Path) -> None:
        self._process = process
        self._file = log.open(encoding="ascii")
        self._rest = ""
        self.port = port
        self.ca_file = ca_file
        self.arrivals: list[Arrival] = []

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a service that sends through it."""
        return relay_variables(self.port, str(self.ca_file), USER, PASSWORD)

    def poll(self) -> int:
        """Read the log's new lines. Returns the number of mails so far."""
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        for line in lines:
            at, order_id, size = line.split("\t")
            self.arrivals.append(Arrival(float(at), order_id, int(size)))
        return len(self.arrivals)

    def wait_for(self, count: int, quiet_seconds: float = 15.0) -> bool:
        """Wait for `count` mails. Returns False when none has arrived for `quiet_seconds`."""
        last, changed_at = self.poll(), time.monotonic()
        while last < count and time.monotonic() < changed_at + quiet_seconds:
            time.sleep(POLL_SECONDS)
            if (now := self.poll()) > last:
                last, changed_at = now, time.monotonic()
        return last >= count

    def counts(self) -> dict[str, int]:
        """Return its counters."""
        self._process.send_signal(signal.SIGUSR1)
        assert self._process.stdout
        counts: dict[str, int] = json.loads(self._process.stdout.readline())
        return {name: counts.get(name, 0) for name in COUNTERS}

    def cpu_seconds(self) -> float:
        return cpu_seconds(self._process.pid)

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=10)
        self._file.close()


@contextmanager
def relay(folder: Path, rtt: float) -> Iterator[Relay]:
    """Run a sink with this round-trip time in milliseconds; its files are in `folder`."""
    ca_file, certificate, log = (folder / name for name in ("ca.pem", "server.pem", "mails.tsv"))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(ca_file))
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    log.touch()
    process = start_module("smtp_sink", str(certificate), "--log", str(log), "--rtt", str(rtt))
    assert process.stdout
    running = Relay(process, int(process.stdout.readline()), log, ca_file)
    try:
        yield running
    finally:
        running.stop()


def start_module(name: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a module of this package as the leader of a session."""
    command: list[Any] = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
