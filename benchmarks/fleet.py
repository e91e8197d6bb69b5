"""Several senders on one PostgreSQL database: throughput by their number, and the way from one machine to another.

All run on this machine, so that more senders help only until its cores are busy. With --cpus, each sender may use only
so much of a CPU, as if it had a small machine of its own; below 0.2 it takes half a minute to begin.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.cpu_limit import cpu_limit
from benchmarks.databases import emptied, fill
from benchmarks.machine import describe
from benchmarks.measurement import Load, measure
from benchmarks.postgres import installed_programs, postgres_server
from benchmarks.processes import exit_on_sigterm
from benchmarks.relay import relay
from benchmarks.report import table
from benchmarks.scenarios import rate, validated_bodies
from benchmarks.service import service

RTT = 20.0
IDLE_ORDERS = 30
#: Milliseconds between two orders.
IDLE_GAP = 100.0
#: Seconds: so long may a sender with a small share of a CPU take to open all of its connections.
START_SECONDS = 90.0


def throughput(url: str, senders: int, mails: int, connections: int, cpus: float | None) -> tuple[float, int]:
    """Let `senders`, with `cpus` each, send a backlog.

    Returns mails per second, and the most connections that were open at the relay.
    """
    bodies = list(validated_bodies(mails))
    emptied(url)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="orderconfirm-")))
        sink = stack.enter_context(relay(folder, RTT))
        variables = {**sink.variables, "DATABASE_URL": url, "MAIL_MAX_CONNECTIONS": str(connections), "SENDER": "only"}
        for _ in range(senders):
            limit = stack.enter_context(cpu_limit(cpus)) if cpus else None
            stack.enter_context(service(folder, variables, limit))
        # Only now, or the first to start would send it while the others join.
        fill(url, bodies)
        sink.wait_for(mails, START_SECONDS)
        times = sorted(arrival.at for arrival in sink.arrivals)
        # Without the first mails, for which the connections are opened.
        return rate(times[len(times) // 4 :]), sink.counts()["most_open"]


def latency(url: str) -> float:
    """Return the median milliseconds from a POST to one service to the 250 for its mail, which another one sends."""
    emptied(url)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="orderconfirm-")))
        sink = stack.enter_context(relay(folder, 0))
        variables = {**sink.variables, "DATABASE_URL": url}
        web = stack.enter_context(service(folder, {**variables, "SENDER": "off"}))
        stack.enter_context(service(folder, {**variables, "SENDER": "only"}))
        measure(web, sink, folder, Load(5, connections=1, prefix="WARM", gap=IDLE_GAP))
        return measure(web, sink, folder, Load(IDLE_ORDERS, connections=1, prefix="IDLE", gap=IDLE_GAP)).delivery_p50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mails", type=int, default=4000, help="waiting mails")
    parser.add_argument("--connections", type=int, default=40, help="MAIL_MAX_CONNECTIONS")
    parser.add_argument("--cpus", type=float, help="CPUs of each sender, if control groups can be set here")
    options = parser.parse_args()
    exit_on_sigterm()
    with tempfile.TemporaryDirectory() as folder:
        print(f"Measured on {describe(Path(folder))}.\n", flush=True)
    with postgres_server(installed_programs()[0]) as url:
        rows = []
        for senders in (1, 2, 4):
            mails_per_second, most_open = throughput(url, senders, options.mails, options.connections, options.cpus)
            rows.append((f"{senders}", f"{mails_per_second:.0f}", f"{most_open}"))
        head = (f"senders, RTT {RTT:.0f} ms, MAIL_MAX_CONNECTIONS={options.connections}", "mails/s", "most connections")
        print(table(head, rows), flush=True)
        print(f"\nPOST at one service to the 250 for its mail, sent by another: {latency(url):.0f} ms (median).")


if __name__ == "__main__":
    main()
