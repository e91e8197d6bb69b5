"""A rolling update played through: two containers of OLD are replaced by NEW while a shop places orders.

The containers share a PostgreSQL database behind HAProxy, which checks /livez as a load balancer does. One after the
other, a container of NEW starts, a container of OLD gets no new requests any more, and then it is stopped. No order may
be lost, sent twice, or answered with anything but a 202.

Needs Linux, HAProxy, and docker or podman: `python -m benchmarks.rollout OLD_IMAGE NEW_IMAGE`.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from benchmarks.http_load import Driver, percentile
from benchmarks.orders import API_KEY, order_ids
from benchmarks.postgres import installed_programs, postgres_server
from benchmarks.relay import Relay, relay
from benchmarks.service import free_port

#: Together 50 to 60 orders a second, if a response takes less than 0.1 seconds.
CONNECTIONS, GAP_SECONDS = 30, 0.5
#: Orders are placed this long before, between and after the replacements.
STEADY_SECONDS = 10.0
TIMEOUT = 120.0
STOP_SECONDS = 30

#: No retries: an order that a stopping container refuses must be seen. Servers whose container does not run are down.
PROXY = """
global
    stats socket {folder}/proxy.sock level admin
    log stdout format raw local0
defaults
    mode http
    log global
    option httplog
    retries 0
    timeout check 5s
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend shop
    bind 127.0.0.1:{port}
    default_backend tasks
backend tasks
    balance roundrobin
    option httpchk GET /livez
    default-server check inter 1s fall 3 rise 1
"""


class Proxy:
    """A running HAProxy with a server for each container."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._socket = str(folder / "proxy.sock")
        self._log = folder / "proxy.log"

    def wait_until_up(self, name: str) -> None:
        wait_until(lambda: self._stat(name)["status"] == "UP", f"{name} does not respond to /livez")

    def deregister(self, name: str) -> None:
        """Send no new requests to a server, and wait for the end of those that it has."""
        if problem := self._command(f"set server tasks/{name} state drain").strip():
            raise SystemExit(f"HAProxy refuses to deregister {name}: {problem}")
        wait_until(lambda: self._stat(name)["scur"] == "0", f"{name} still has requests")

    def other_answers(self) -> list[str]:
        """Return the log's lines about requests that were not answered with 202."""
        return [line for line in self._log.read_text().splitlines() if '"POST ' in line and " 202 " not in line]

    def _stat(self, name: str) -> dict[str, str]:
        head, *lines = self._command("show stat").removeprefix("# ").splitlines()
        rows = (dict(zip(head.split(","), line.split(","), strict=False)) for line in lines if line)
        return next(row for row in rows if (row["pxname"], row["svname"]) == ("tasks", name))

    def _command(self, text: str) -> str:
        with socket.socket(socket.AF_UNIX) as control, control.makefile("rw") as stream:
            control.connect(self._socket)
            stream.write(f"{text}\n")
            stream.flush()
            return stream.read()


@contextmanager
def proxy(folder: Path, ports: dict[str, int]) -> Iterator[Proxy]:
    port = free_port()
    servers = "".join(f"    server {name} 127.0.0.1:{each}\n" for name, each in ports.items())
    (folder / "proxy.cfg").write_text(PROXY.format(folder=folder, port=port) + servers, encoding="ascii")
    with (folder / "proxy.log").open("w") as log:
        process = subprocess.Popen(
            ["haproxy", "-db", "-f", folder / "proxy.cfg"], stdout=log, stderr=subprocess.DEVNULL
        )
    try:
        wait_until((folder / "proxy.sock").exists, "HAProxy does not start")
        yield Proxy(folder, port)
    finally:
        process.terminate()
        process.wait()


class Containers:
    """Containers of the service, hardened as in production, on the host's network."""

    def __init__(self, engine: str, variables: dict[str, str], ca_file: Path) -> None:
        options = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--memory=256m")
        mounts = ("--network=host", f"--volume={ca_file}:{ca_file}:ro")
        self._engine = engine
        self._run = ("run", "--detach", *options, *mounts, *(f"--env={name}={variables[name]}" for name in variables))
        self.running: list[str] = []

    def start(self, name: str, image: str, port: int) -> None:
        self._call(*self._run, f"--env=PORT={port}", f"--name={name}", image)
        self.running.append(name)

    def stop(self, name: str) -> None:
        """Stop a container. Raises SystemExit if it had to be killed."""
        self._call("stop", "-t", str(STOP_SECONDS), name)
        code = self._call("inspect", "--format={{.State.ExitCode}}", name)
        if code != "0":
            raise SystemExit(f"{name} ended with {code}:\n{self._call('logs', name)[-2000:]}")
        self.remove(name)

    def remove(self, name: str) -> None:
        self._call("rm", "--force", "--volumes", name)
        self.running.remove(name)

    def _call(self, *arguments: str) -> str:
        done = subprocess.run([self._engine, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{self._engine} {arguments[0]} failed: {done.stderr}")
        return done.stdout.strip()


class Shop:
    """A shop that places orders until it is stopped."""

    def __init__(self, port: int) -> None:
        self.driver = Driver(port, order_ids("ORD", 100_000), GAP_SECONDS)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="shop")
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self.driver.done.set)
        self._thread.join()

    def _run(self) -> None:
        self._loop.run_until_complete(self.driver.run(CONNECTIONS, 3600))
        self._loop.close()


def wait_until(condition: Callable[[], bool], problem: str) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(problem)
        time.sleep(0.1)


def roll_out(containers: Containers, proxy: Proxy, ports: dict[str, int], old: str, new: str) -> Driver:
    """Replace both containers of `old` by `new` while orders are placed."""
    for name in ("old-1", "old-2"):
        containers.start(name, old, ports[name])
        proxy.wait_until_up(name)
    shop = Shop(proxy.port)
    try:
        time.sleep(STEADY_SECONDS)
        for number in (1, 2):
            containers.start(f"new-{number}", new, ports[f"new-{number}"])
            proxy.wait_until_up(f"new-{number}")
            proxy.deregister(f"old-{number}")
            containers.stop(f"old-{number}")
            print(f"replaced {number} of 2 after {len(shop.driver.answers)} orders")
            time.sleep(STEADY_SECONDS)
    finally:
        shop.stop()
    return shop.driver


def report(driver: Driver, sink: Relay) -> bool:
    """Print the result. Returns whether each order was answered with 202, and sent once."""
    accepted = {answer.order_id for answer in driver.answers}
    copies = Counter(arrival.order_id for arrival in sink.arrivals)
    lost, twice = accepted - copies.keys(), [order for order, count in copies.items() if count > 1]
    latencies = [answer.seconds for answer in driver.answers]
    span = max(answer.posted_at for answer in driver.answers) - min(answer.posted_at for answer in driver.answers)
    print(f"{len(accepted)} orders accepted, {len(accepted) / span:.0f} a second; lost {len(lost)}, twice {len(twice)}")
    print(f"answers (0 is a broken connection): {dict(driver.statuses)}")
    print(f"p50 {percentile(latencies, 0.5) * 1000:.0f} ms, p99 {percentile(latencies, 0.99) * 1000:.0f} ms")
    return not lost and not twice and set(driver.statuses) == {202}


def revision(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row and row[0])


def main() -> None:
    parser = argparse.ArgumentParser(description="Replace two containers under load, and count the orders.")
    parser.add_argument("old", help="image of the version that runs")
    parser.add_argument("new", help="image of the version that replaces it")
    parser.add_argument("--engine", default="docker", help="docker or podman")
    options = parser.parse_args()
    for program in ("haproxy", options.engine):
        if not shutil.which(program):
            raise SystemExit(f"{program} is not installed")
    ports = {name: free_port() for name in ("old-1", "old-2", "new-1", "new-2")}
    server_port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="rollout-") as name,
        postgres_server(installed_programs()[0], f"-c listen_addresses=127.0.0.1 -c port={server_port}"),
        relay(Path(name), rtt=20) as sink,
        proxy(Path(name), ports) as balancer,
    ):
        url = f"postgresql://postgres@127.0.0.1:{server_port}/postgres"
        variables = {"API_KEYS": f"shop:{API_KEY}", "DATABASE_URL": url, **sink.variables}
        containers = Containers(options.engine, variables, sink.ca_file)
        try:
            driver = roll_out(containers, balancer, ports, options.old, options.new)
            sink.wait_for(len(driver.answers))
        finally:
            for each in list(containers.running):
                containers.remove(each)
        print(*balancer.other_answers(), f"the database has revision {revision(url)}", sep="\n")
        if not report(driver, sink):
            raise SystemExit(1)


if __name__ == "__main__":
    main()
