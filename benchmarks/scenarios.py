"""The measured scenarios, each with a new service, a new sink and a new outbox."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cpu_limit import CpuLimit
from benchmarks.databases import fill
from benchmarks.measurement import Load, Result, measure
from benchmarks.orders import SAMPLE, order_ids
from benchmarks.processes import MemoryWatch, memory
from benchmarks.relay import Relay, relay
from benchmarks.service import Service, service
from orderconfirm.order.json_body import parse_json
from orderconfirm.order.schemas import OrderSchema, load_order

WARM_UP = 64
IDLE_ORDERS = 15
#: Milliseconds between two orders of an idle service, more than the largest round-trip time needs.
IDLE_GAP = 250.0
#: Seconds after the start and after the load until the service counts as idle.
REST_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Drain:
    """Mails per second of the first tenth, the last tenth and all of a backlog, and megabytes (PSS).

    `round_trips` is per mail, without those that open a connection.
    """

    mails: int
    first_rate: float
    last_rate: float
    rate: float
    round_trips: float
    lost: int
    sent_twice: int
    idle_pss: float
    peak_pss: float


@contextmanager
def running(rtt: float, limit: CpuLimit | None = None, **variables: str) -> Iterator[tuple[Service, Relay, Path]]:
    """Run a sink and a service that sends to it, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="orderconfirm-") as name:
        folder = Path(name)
        with relay(folder, rtt) as sink, service(folder, sink.variables, limit, **variables) as started:
            yield started, sink, folder


def load(rtt: float, orders: int, limit: CpuLimit | None = None, **variables: str) -> Result:
    """Place `orders` over 32 connections, as fast as they are answered."""
    with running(rtt, limit, **variables) as parts:
        warm_up(*parts, min(WARM_UP, orders))
        return measure(*parts, Load(orders, prefix="ORD"))


def idle_and_load(rtt: float, orders: int, idle_orders: int = IDLE_ORDERS) -> tuple[Result, Result]:
    """Place orders one at a time, each after the previous mail has been sent, and then as `load` does."""
    with running(rtt) as parts:
        warm_up(*parts, min(WARM_UP, orders))
        alone = measure(*parts, Load(idle_orders, connections=1, prefix="IDLE", gap=IDLE_GAP))
        return alone, measure(*parts, Load(orders, prefix="ORD"))


def drain(rtt: float, mails: int) -> Drain:
    """Start a service with `mails` waiting."""
    with tempfile.TemporaryDirectory(prefix="orderconfirm-") as name:
        folder = Path(name)
        fill(f"sqlite:///{folder}/outbox.db", list(validated_bodies(mails)))
        with relay(folder, rtt) as sink, service(folder, sink.variables) as started:
            watch = MemoryWatch(started.pid)
            watch.start()
            try:
                sink.wait_for(mails)
            finally:
                peak = watch.stop()
            time.sleep(REST_SECONDS)
            sink.poll()
            times = sorted(arrival.at for arrival in sink.arrivals)
            orders = {arrival.order_id for arrival in sink.arrivals}
            counts = sink.counts()
            return Drain(
                mails=mails,
                first_rate=rate(times[: mails // 10]),
                last_rate=rate(times[-(mails // 10) :]),
                rate=rate(times),
                round_trips=counts["mail_round_trips"] / max(1, counts["mails"]),
                lost=mails - len(orders),
                sent_twice=len(times) - len(orders),
                idle_pss=memory(started.pid).pss,
                peak_pss=peak.pss,
            )


def warm_up(started: Service, sink: Relay, folder: Path, orders: int) -> None:
    """Open all connections and fill the caches before a measurement."""
    measure(started, sink, folder, Load(orders, prefix="WARM"))
    time.sleep(REST_SECONDS)


def validated_bodies(count: int) -> Iterator[dict[str, Any]]:
    """Yield validated orders."""
    body, _ = load_order(OrderSchema(), parse_json(SAMPLE.read_bytes()))
    for order_id in order_ids("ORD", count):
        yield {**body, "order_id": order_id}


def rate(times: list[float]) -> float:
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0
