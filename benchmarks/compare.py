"""The service compared with a usual Node implementation, in alternating rounds (`make bench-peers`).

The peer, in `peers/nodemailer`, stores nothing: its orders wait in memory.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks import scenarios
from benchmarks.machine import OtherLoad, describe
from benchmarks.measurement import Load, Result, measure
from benchmarks.orders import API_KEY
from benchmarks.processes import exit_on_sigterm
from benchmarks.relay import Relay, relay
from benchmarks.report import ROUND_TRIP_TIMES, table
from benchmarks.service import Service, free_port, running
from benchmarks.smtp_sink import PASSWORD, USER

PEER = Path(__file__).parent / "peers" / "nodemailer"
ROUNDS = 3


def install() -> None:
    """Install the peer's packages if they are missing."""
    if not (PEER / "node_modules").is_dir():
        subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=PEER, check=True)


@contextmanager
def peer(rtt: float) -> Iterator[tuple[Service, Relay, Path]]:
    """Run a sink and the peer that sends to it, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="orderconfirm-") as name:
        folder, port = Path(name), free_port()
        with relay(folder, rtt) as sink:
            variables = {
                **{"NODE_ENV": "production", "PORT": str(port), "API_KEY": API_KEY, "SMTP_PORT": str(sink.port)},
                **{"SMTP_USER": USER, "SMTP_PASSWORD": PASSWORD, "SMTP_CA_FILE": str(sink.ca_file)},
            }
            environ, log = {**os.environ, **variables}, folder / "service.log"
            with running(["node", "app.js"], environ, PEER, log, port, "/ready") as started:
                yield started, sink, folder


def load_peer(rtt: float, orders: int) -> Result:
    """Place orders with the peer as `scenarios.load` does with the service."""
    with peer(rtt) as parts:
        scenarios.warm_up(*parts, min(scenarios.WARM_UP, orders))
        return measure(*parts, Load(orders))


#: The columns: name, field of a result, format.
COLUMNS = (
    ("accepted/s", "accepted_per_second", "{:.0f}"),
    ("delivered/s", "delivered_per_second", "{:.0f}"),
    ("POST p50", "post_p50", "{:.0f} ms"),
    ("POST p99", "post_p99", "{:.0f} ms"),
    ("CPU s per 1,000", "cpu", "{:.2f}"),
    ("peak PSS", "peak_pss", "{:.0f} MB"),
    ("round trips per mail", "round_trips", "{:.2f}"),
    ("bytes per mail", "mail_size", "{:,.0f}"),
)


def compared(rtt: float, ours: list[Result], theirs: list[Result]) -> str:
    """Return the table: the ratios of the medians, the medians, and the sums of lost and repeated mails."""
    medians = [[_median(results, field) for _, field, _ in COLUMNS] for results in (ours, theirs)]
    ratios = [f"{our / their:.2f}" if their else "" for our, their in zip(*medians, strict=True)]
    rows = [("ratio, orderconfirm to Express + nodemailer", *ratios, "", "")]
    for name, results, values in zip(("orderconfirm", "Express + nodemailer"), (ours, theirs), medians, strict=True):
        written = [form.format(value) for (_, _, form), value in zip(COLUMNS, values, strict=True)]
        lost, twice = sum(each.lost for each in results), sum(each.sent_twice for each in results)
        rows.append((name, *written, str(lost), str(twice)))
    return table((f"RTT {rtt:g} ms", *(name for name, _, _ in COLUMNS), "lost", "sent twice"), rows)


def _median(results: list[Result], field: str) -> float:
    return float(median(getattr(each, field) for each in results))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=3000, help="orders of each measurement")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    if not (shutil.which("node") and shutil.which("npm")):
        sys.exit("Install Node (with npm) to compare the service with its peer.")
    exit_on_sigterm()
    install()
    with tempfile.TemporaryDirectory() as folder:
        print(f"Measured on {describe(Path(folder))}, {options.rounds} alternating rounds, medians:\n", flush=True)
    others = OtherLoad()
    for rtt in ROUND_TRIP_TIMES:
        ours, theirs = [], []
        for _ in range(options.rounds):
            ours.append(scenarios.load(rtt, options.orders))
            theirs.append(load_peer(rtt, options.orders))
        print(compared(rtt, ours, theirs), end="\n\n", flush=True)
    print(others.describe())


if __name__ == "__main__":
    main()
