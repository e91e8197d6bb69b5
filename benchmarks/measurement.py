"""One measurement: orders are placed over HTTP, and their mails are counted at the sink."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.http_load import Answer, percentile
from benchmarks.processes import MemoryWatch, memory
from benchmarks.relay import Arrival, Relay, start_module
from benchmarks.service import Service

LOAD_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Load:
    """The number of orders and of connections, and the milliseconds between a response and the next order."""

    orders: int
    connections: int = 32
    prefix: str = "ORD"
    gap: float = 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """The measured values. Times are in milliseconds, memory is in megabytes, CPU time is in seconds per 1,000 orders.

    `delivery_p50` is the time from a POST to the relay's 250 for its mail.
    """

    accepted_per_second: float
    delivered_per_second: float
    post_p50: float
    post_p99: float
    delivery_p50: float
    cpu: float
    sink_cpu: float
    idle_rss: float
    idle_pss: float
    peak_rss: float
    peak_pss: float
    start_seconds: float
    round_trips: float
    connections: int
    mail_size: int
    lost: int
    sent_twice: int


def place(service: Service, folder: Path, load: Load) -> tuple[dict[str, Any], list[Answer]]:
    """Place the orders. Returns the driver's results and the accepted orders."""
    out = folder / f"{load.prefix}.tsv"
    options = {
        "--orders": load.orders,
        "--connections": min(load.connections, load.orders),
        "--prefix": load.prefix,
        "--gap": load.gap,
        "--seconds": LOAD_SECONDS,
        "--out": out,
    }
    arguments = [str(word) for option in options.items() for word in option]
    driver = start_module("http_load", str(service.port), *arguments)
    output, _ = driver.communicate(timeout=LOAD_SECONDS + 30)
    rows = (line.split("\t") for line in out.read_text(encoding="ascii").splitlines())
    answers = [Answer(order_id, float(posted_at), float(seconds)) for order_id, posted_at, seconds in rows]
    return json.loads(output), answers


def measure(service: Service, relay: Relay, folder: Path, load: Load) -> Result:
    """Place orders, wait for their mails, and compare the two. Raises SystemExit when not all are accepted."""
    idle = memory(service.pid)
    before, first = relay.counts(), relay.poll()
    cpu, sink_cpu = service.cpu_seconds(), relay.cpu_seconds()
    watch = MemoryWatch(service.pid)
    watch.start()
    try:
        driver, answers = place(service, folder, load)
        relay.wait_for(first + len(answers))
    finally:
        peak = watch.stop()
    if len(answers) < load.orders:
        raise SystemExit(f"{len(answers)} of {load.orders} orders were accepted: {driver['statuses']}")
    cpu, sink_cpu = service.cpu_seconds() - cpu, relay.cpu_seconds() - sink_cpu
    after = relay.counts()
    relay.poll()
    arrivals = relay.arrivals[first:]
    copies = Counter(arrival.order_id for arrival in arrivals)
    mails = max(1, after["mails"] - before["mails"])
    return Result(
        accepted_per_second=driver["accepted_per_second"],
        delivered_per_second=_delivered_per_second(answers, arrivals),
        post_p50=driver["p50_ms"],
        post_p99=driver["p99_ms"],
        delivery_p50=_delivery_p50(answers, arrivals),
        cpu=cpu / mails * 1000,
        sink_cpu=sink_cpu / mails * 1000,
        idle_rss=idle.rss,
        idle_pss=idle.pss,
        peak_rss=peak.rss,
        peak_pss=peak.pss,
        start_seconds=service.start_seconds,
        round_trips=(after["mail_round_trips"] - before["mail_round_trips"]) / mails,
        connections=after["connections"] - before["connections"],
        mail_size=arrivals[0].size if arrivals else 0,
        lost=sum(answer.order_id not in copies for answer in answers),
        sent_twice=sum(count - 1 for count in copies.values()),
    )


def _delivered_per_second(answers: list[Answer], arrivals: list[Arrival]) -> float:
    """Return the distinct orders divided by the time from the first POST to the last mail."""
    if not answers or not arrivals:
        return 0.0
    span = max(arrival.at for arrival in arrivals) - min(answer.posted_at for answer in answers)
    return len({arrival.order_id for arrival in arrivals}) / span


def _delivery_p50(answers: list[Answer], arrivals: list[Arrival]) -> float:
    arrived_at: dict[str, float] = {}
    for arrival in arrivals:
        arrived_at.setdefault(arrival.order_id, arrival.at)
    times = [arrived_at[each.order_id] - each.posted_at for each in answers if each.order_id in arrived_at]
    return percentile(times, 0.5) * 1000
