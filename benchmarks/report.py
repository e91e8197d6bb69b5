"""The report of `make bench`: throughput, latency, memory and CPU time, as Markdown tables.

It takes about two minutes. `--orders 40 --quick` measures a little of everything, as a test.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import scenarios
from benchmarks.cpu_limit import cpu_limit
from benchmarks.machine import OtherLoad, describe
from benchmarks.measurement import Result
from benchmarks.processes import exit_on_sigterm
from benchmarks.scenarios import Drain

ROUND_TRIP_TIMES = (0, 20, 80)
#: The round-trip time in milliseconds of measurements that use only one.
RTT = 20
SMALL_CPUS, SMALL_MEGABYTES = 0.25, 512
VARIANTS: tuple[tuple[str, dict[str, str]], ...] = (
    ("`WEB_CONCURRENCY=2`", {"WEB_CONCURRENCY": "2"}),
    ("`WEB_CONCURRENCY=4`", {"WEB_CONCURRENCY": "4"}),
    ("`SENDER=thread`", {"SENDER": "thread"}),
)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def throughput(results: Sequence[tuple[int, Result, Result]]) -> str:
    """Return the table of the round-trip times: orders one at a time, and as many as possible."""
    head = (
        *(
            "RTT",
            "accepted/s",
            "delivered/s",
            "POST p50",
            "POST p99",
            "POST to 250, idle",
            "round trips per mail, idle",
        ),
        *("under load", "CPU s per 1,000", "lost", "sent twice"),
    )
    rows = [
        (
            *(f"{rtt} ms", f"{busy.accepted_per_second:.0f}", f"{busy.delivered_per_second:.0f}"),
            *(f"{busy.post_p50:.0f} ms", f"{busy.post_p99:.0f} ms", f"{alone.delivery_p50:.0f} ms"),
            *(f"{alone.round_trips:.2f}", f"{busy.round_trips:.2f}", f"{busy.cpu:.2f}"),
            *(f"{alone.lost + busy.lost}", f"{alone.sent_twice + busy.sent_twice}"),
        )
        for rtt, alone, busy in results
    ]
    return table(head, rows)


def process(alone: Result, busy: Result) -> str:
    """Return the table of memory and start."""
    head = ("memory and start", "idle", "while sending")
    return table(
        head,
        [
            ("RSS, summed over all processes", f"{alone.idle_rss:.0f} MB", f"{busy.peak_rss:.0f} MB"),
            ("PSS (shared pages counted once)", f"{alone.idle_pss:.0f} MB", f"{busy.peak_pss:.0f} MB"),
            ("start until `/ready`", f"{busy.start_seconds:.1f} s", ""),
            ("CPU seconds of the sink per 1,000 mails", "", f"{busy.sink_cpu:.2f} s"),
            ("bytes per mail", "", f"{busy.mail_size:,}"),
        ],
    )


def variants(results: Sequence[tuple[str, Result]]) -> str:
    head = (
        *(f"RTT {RTT} ms", "accepted/s", "delivered/s", "POST p50", "POST p99", "CPU s per 1,000", "peak PSS", "lost"),
        "sent twice",
    )
    rows = [
        (
            *(name, f"{each.accepted_per_second:.0f}", f"{each.delivered_per_second:.0f}", f"{each.post_p50:.0f} ms"),
            *(f"{each.post_p99:.0f} ms", f"{each.cpu:.2f}", f"{each.peak_pss:.0f} MB"),
            *(f"{each.lost}", f"{each.sent_twice}"),
        )
        for name, each in results
    ]
    return table(head, rows)


def backlog(rtt: int, result: Drain) -> str:
    head = (f"{result.mails:,} waiting mails, RTT {rtt} ms", "mails/s")
    rows = [
        ("all", f"{result.rate:.0f}"),
        ("first tenth", f"{result.first_rate:.0f}"),
        ("last tenth", f"{result.last_rate:.0f}"),
    ]
    trips = f"{result.round_trips:.2f} round trips per mail."
    memory = f"PSS: at most {result.peak_pss:.0f} MB, {result.idle_pss:.0f} MB afterwards."
    return f"{table(head, rows)}\n\n{trips} {memory} Lost: {result.lost}, sent twice: {result.sent_twice}."


def small_container(orders: int) -> str:
    """Measure with a quarter of a CPU. Returns a table, or a sentence where this cannot be limited."""
    with cpu_limit(SMALL_CPUS) as limit:
        if limit is None:
            return f"{SMALL_CPUS} CPU: not measured, because this user may not make a CPU control group."
        result = scenarios.load(RTT, orders, limit, SENDER="thread")
    fits = "less" if result.peak_pss < SMALL_MEGABYTES else "more"
    return (
        f"{variants([(f'{SMALL_CPUS} CPU, `SENDER=thread`', result)])}\n\n"
        f"Ready after {result.start_seconds:.1f} s. The CPU time is limited by a control group. Memory is not limited, "
        f"but measured: the peak is {fits} than {SMALL_MEGABYTES} MB."
    )


def show(part: str) -> None:
    print(f"\n{part}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=3000, help="orders of each measurement")
    parser.add_argument("--backlog", type=int, default=20_000, help="waiting mails")
    parser.add_argument("--quick", action="store_true", help="one round-trip time and a small backlog only")
    options = parser.parse_args()
    exit_on_sigterm()
    others = OtherLoad()
    with tempfile.TemporaryDirectory() as folder:
        print(f"Measured on {describe(Path(folder))}.", flush=True)
    if options.quick:
        alone, busy = scenarios.idle_and_load(5, options.orders, idle_orders=3)
        show(throughput([(5, alone, busy)]))
        show(process(alone, busy))
        show(backlog(5, scenarios.drain(5, options.orders)))
        return
    results = [(rtt, *scenarios.idle_and_load(rtt, options.orders)) for rtt in ROUND_TRIP_TIMES]
    show(throughput(results))
    show(process(results[0][1], results[0][2]))
    [default] = [busy for rtt, _, busy in results if rtt == RTT]
    changed = [(name, scenarios.load(RTT, options.orders, None, **more)) for name, more in VARIANTS]
    show(variants([("`WEB_CONCURRENCY=1`", default), *changed]))
    show(backlog(RTT, scenarios.drain(RTT, options.backlog)))
    show(small_container(options.orders // 5))
    show(others.describe())


if __name__ == "__main__":
    main()
