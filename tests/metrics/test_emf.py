"""Embedded metrics: their format, and that each count is published once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from jsonschema_rs import Draft7Validator

from orderconfirm.metrics import counters
from orderconfirm.metrics.collection import collect
from orderconfirm.metrics.emf import EmfPublisher, to_lines
from orderconfirm.metrics.shared_counters import Key
from orderconfirm.metrics.table import ALL, CONNECTIONS, MAILS, ORDERS, REQUESTS, SEND_DURATION
from orderconfirm.models import State
from orderconfirm.queries import HealthStatus, QueueStats

UNITS = ["Seconds", "Microseconds", "Milliseconds", "Bytes", "Kilobytes", "Megabytes", "Percent", "Count", "None"]
#: The rules of the specification, as a JSON schema.
SCHEMA = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "properties": {
                "Timestamp": {"type": "integer"},
                "CloudWatchMetrics": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["Namespace", "Dimensions", "Metrics"],
                        "additionalProperties": False,
                        "properties": {
                            "Namespace": {"type": "string", "minLength": 1, "maxLength": 1024},
                            "Dimensions": {
                                "type": "array",
                                "minItems": 1,
                                "items": {
                                    "type": "array",
                                    "minItems": 1,
                                    "maxItems": 30,
                                    "items": {"type": "string", "minLength": 1, "maxLength": 250},
                                },
                            },
                            "Metrics": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": 100,
                                "items": {
                                    "type": "object",
                                    "required": ["Name"],
                                    "additionalProperties": False,
                                    "properties": {
                                        "Name": {"type": "string", "minLength": 1, "maxLength": 1024},
                                        "Unit": {"enum": UNITS},
                                    },
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}
HEALTHY = HealthStatus(QueueStats({State.QUEUED: 3}, 12.5, 1), 1000, None, 0.2, 2, ())


def lines_of(samples: dict[Key, list[float]]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in to_lines(samples, "shop-orders", "production", 1_700_000_000.25)]


def one(lines: list[dict[str, Any]], name: str, **dimensions: str) -> float:
    """Return the only value of a metric with these dimensions."""
    wanted = {"environment": "production", **dimensions}
    values = [
        line[name]
        for line in lines
        if name in line
        and {each: line[each] for each in line["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0]} == wanted
    ]
    assert len(values) == 1, values
    return float(values[0])


def test_the_lines_follow_the_specification() -> None:
    lines = lines_of(collect(HEALTHY, 0.2, "0a1b2c", {"fjord": 60.0}))
    validator = Draft7Validator(SCHEMA)
    for line in lines:
        validator.validate(line)
        [directive] = line["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "shop-orders"
        [dimensions] = directive["Dimensions"]
        # Every name that the metadata mentions is a member, a dimension with text and a metric with a number.
        assert all(isinstance(line[name], str) and 1 <= len(line[name]) <= 1024 for name in dimensions)
        assert all(isinstance(line[each["Name"]], float | int) for each in directive["Metrics"])
        assert line["_aws"]["Timestamp"] == 1_700_000_000_250
    named = {each["Name"] for line in lines for each in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert named >= {metric.name for metric in ALL if metric.kind != "histogram" and metric is not REQUESTS}


def test_a_line_without_a_revision_has_a_dimension_nevertheless() -> None:
    lines = lines_of(collect(None, None, "", {}))
    assert one(lines, "build_info", version="0.1.0", revision="none") == 1


def test_requests_are_added_up_by_status_without_health_checks() -> None:
    counts = {("/a", "GET", "200"): [2.0], ("/b", "POST", "200"): [3.0], ("/readyz", "GET", "200"): [100.0]}
    lines = lines_of({(REQUESTS, labels): numbers for labels, numbers in counts.items()})
    assert one(lines, "http_requests_total", status="200") == 5


def test_a_histogram_becomes_a_count_a_sum_and_a_quantile() -> None:
    counts = [0.0] * (len(SEND_DURATION.buckets) + 1)
    counts[1], counts[2] = 10, 10  # up to 0.05 and up to 0.1 s
    lines = lines_of({(SEND_DURATION, ()): [*counts, 1.3]})
    assert one(lines, "send_duration_seconds_count") == 20
    assert one(lines, "send_duration_seconds_sum") == 1.3
    assert one(lines, "send_duration_seconds_p95") == pytest.approx(0.095)


def test_each_count_is_published_once_and_a_gauge_every_time(capsys: pytest.CaptureFixture[str]) -> None:
    counts = {(ORDERS, ()): [5.0], (CONNECTIONS, ()): [4.0], (MAILS, ("queued",)): [7.0]}
    publisher = EmfPublisher(lambda: dict(counts), "orderconfirm", "production")

    def published() -> list[dict[str, Any]]:
        publisher._publish()
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    counters.use(0)
    published()
    counts[ORDERS, ()] = [8.0]
    lines = published()
    assert one(lines, "orders_accepted_total") == 3
    assert one(lines, "relay_connections") == 4
    assert one(lines, "mails", state="queued") == 7
    assert one(published(), "orders_accepted_total") == 0


def test_only_one_process_of_a_service_publishes(capsys: pytest.CaptureFixture[str]) -> None:
    counters.use(1)
    try:
        assert not counters.is_first  # this process has the lower slot, too
        EmfPublisher(lambda: {(ORDERS, ()): [5.0]}, "orderconfirm", "production")._publish()
        assert capsys.readouterr().out == ""
    finally:
        counters.use(0)


def test_a_stop_does_not_publish_an_outage_of_the_database(
    start_app: Callable[..., Flask], capsys: pytest.CaptureFixture[str]
) -> None:
    start_app(METRICS_EMF="true").extensions["orderconfirm"].stop()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"database_up"' in line]
    assert [line["database_up"] for line in lines] == [1]
