"""The benchmarks, in a tiny size: that they run and lose nothing, not how fast anything is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from benchmarks.cpu_limit import cpu_limit
from benchmarks.http_load import percentile
from benchmarks.smtp_sink import order_id

ROOT = Path(__file__).parent.parent


def run(module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def row(report: str, start: str) -> list[str]:
    """Return the cells of the row that begins with `start`."""
    [line] = re.findall(rf"^\| ({re.escape(start)} \|.*) \|$", report, re.MULTILINE)
    return [cell.strip() for cell in line.split("|")]


def test_the_report_measures_a_service_that_loses_nothing() -> None:
    report = run("report", "--orders", "40", "--quick")
    cells = row(report, "5 ms")
    assert int(cells[1]) > 0 and int(cells[2]) > 0, "orders are accepted and delivered"
    assert 1 < float(cells[6]) <= 2, "round trips of a mail on an idle service"
    assert cells[-2:] == ["0", "0"], "lost and sent twice"
    assert row(report, "all")[1] != "0"
    assert "Lost: 0, sent twice: 0." in report


def test_every_stage_of_an_order_has_its_cost() -> None:
    costs = run("stages", "--quick")
    for stage in ("validate", "store, 16 in a transaction", "render", "send over an open connection", "total"):
        assert float(row(costs, stage)[1]) > 0


def test_growth_has_its_cost() -> None:
    costs = run("growth", "sqlite", "--finished", "5000", "--waiting", "300", "--rounds", "10")
    for operation in ("insert 50", "claim 50", "settle 50"):
        assert all(float(figure) > 0 for figure in row(costs, operation)[1:])
    with_content, without = (int(figure.replace(",", "")) for figure in row(costs, "together")[1:])
    assert with_content > 2 * without > 0
    assert int(row(costs, "one in a transaction")[1].replace(",", "")) > 0


def test_the_sink_finds_the_order_in_either_header() -> None:
    folded = b'Subject: x\r\nX-MT-Custom-Variables: {"shop": "a",\r\n "order_id": "A-1"}\r\n\r\nbody'
    assert order_id(folded) == "A-1"
    assert order_id(b"From: a@b.example\r\nSubject: Order ORD-000012 confirmed\r\n\r\nbody ORD-2") == "ORD-000012"
    assert order_id(b"Subject: none\r\n\r\nORD-1") == ""


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0
    assert percentile([], 0.5) == 0.0


def test_a_cpu_limit_leaves_no_control_group_behind() -> None:
    with cpu_limit(0.5) as limit:
        pass
    assert limit is None or not limit.folder.exists()
