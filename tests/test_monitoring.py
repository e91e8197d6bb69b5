"""The dashboard and the alert rules in infra/monitoring: the names in them, and what promtool finds."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from orderconfirm.metrics.collection import collect
from orderconfirm.metrics.table import ALL
from orderconfirm.metrics.text import to_text
from orderconfirm.queries import HealthStatus, QueueStats

FOLDER = Path(__file__).parent.parent / "infra" / "monitoring"
#: tests/tools.sh puts it next to the interpreter.
PROMTOOL = shutil.which("promtool") or shutil.which("promtool", path=Path(sys.executable).parent)

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="no promtool")


def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return group["rules"]  # type: ignore[no-any-return]


def panels() -> list[dict[str, Any]]:
    dashboard = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def metrics_in(expressions: list[str]) -> set[str]:
    """Return the names of the metrics, those of a histogram without its suffix."""
    names = set(re.findall(r"orderconfirm_\w+", " ".join(expressions)))
    histograms = {metric.full_name for metric in ALL if metric.kind == "histogram"}
    return {base if (base := re.sub("_(bucket|sum|count)$", "", name)) in histograms else name for name in names}


def promtool(*arguments: str, text: str | None = None) -> None:
    done = subprocess.run([str(PROMTOOL), *arguments], cwd=FOLDER, input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_use_only_metrics_that_exist() -> None:
    used = metrics_in([rule["expr"] for rule in rules()])
    assert used <= {metric.full_name for metric in ALL}


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    used = metrics_in([target["expr"] for panel in panels() for target in panel["targets"]])
    assert used == {metric.full_name for metric in ALL}


def test_every_label_in_a_query_is_one_of_the_metric() -> None:
    queries = [rule["expr"] for rule in rules()] + [t["expr"] for panel in panels() for t in panel["targets"]]
    labels = {metric.full_name: {*metric.labels, "job"} for metric in ALL}
    for name, selector in re.findall(r"(orderconfirm_\w+)\{([^}]*)\}", " ".join(queries)):
        [metric] = metrics_in([name])
        assert set(re.findall(r"(\w+)\s*[!=]", selector)) <= labels[metric], name


def test_every_rule_says_what_to_do_and_is_tried() -> None:
    tried = set(re.findall(r'alertname="(\w+)"', (FOLDER / "alerts_test.yml").read_text(encoding="utf-8")))
    assert tried == {rule["alert"] for rule in rules()}
    assert all(rule["annotations"]["summary"] and rule["annotations"]["action"] for rule in rules())


def test_each_panel_explains_itself_and_takes_the_chosen_data_source() -> None:
    for panel in panels():
        assert panel["title"] and panel["description"]
        assert {panel["datasource"]["uid"], *(each["datasource"]["uid"] for each in panel["targets"])} == {
            "${datasource}"
        }


def test_no_two_panels_overlap() -> None:
    cells = [
        (place["x"] + x, place["y"] + y)
        for place in (panel["gridPos"] for panel in panels())
        for x in range(place["w"])
        for y in range(place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


@needs_promtool
def test_promtool_accepts_the_rules_and_each_alert_fires_in_its_trouble() -> None:
    promtool("check", "rules", "alerts.yml")
    promtool("test", "rules", "alerts_test.yml")


@needs_promtool
def test_promtool_accepts_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    queries = [target["expr"].replace("$__rate_interval", "5m") for panel in panels() for target in panel["targets"]]
    records = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    rules_file = tmp_path / "queries.yml"
    rules_file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))
    promtool("check", "rules", "--lint=none", str(rules_file))


@needs_promtool
def test_promtool_accepts_the_metrics() -> None:
    status = HealthStatus(QueueStats({}, 0.0, 0), 1000, None, 0.0, 1, ())
    promtool("check", "metrics", text=to_text(collect(status, 0.0, "0a1b2c", {"fjord": 60.0})))
