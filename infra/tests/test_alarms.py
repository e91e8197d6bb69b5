"""Alarms and dashboard of the template, compared with what a running service publishes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import service

import templates

TEMPLATE = templates.resolve(templates.load("service.yaml"), templates.example("small"))
PREFIX = "${AWS::StackName}-"
ALARMS = {
    each["AlarmName"]["Fn::Sub"].removeprefix(PREFIX): each
    for each in templates.of_type(TEMPLATE, "AWS::CloudWatch::Alarm").values()
}
NAMES = (
    "http-5xx",
    "latency-p95",
    "mails-failed",
    "oldest-due",
    "relay-paused",
    "bounces",
    "complaints",
    "no-orders",
    "database-storage",
)
#: Metrics of AWS that are used, and their dimensions.
OF_AWS = {
    ("AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count"): [("LoadBalancer",)],
    ("AWS/ApplicationELB", "HTTPCode_Target_2XX_Count"): [("LoadBalancer",)],
    ("AWS/ApplicationELB", "HTTPCode_Target_4XX_Count"): [("LoadBalancer",)],
    ("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count"): [("LoadBalancer",), ("LoadBalancer", "TargetGroup")],
    ("AWS/ApplicationELB", "RequestCount"): [("LoadBalancer", "TargetGroup")],
    ("AWS/ApplicationELB", "TargetResponseTime"): [("LoadBalancer",), ("LoadBalancer", "TargetGroup")],
    ("AWS/ECS", "CPUUtilization"): [("ClusterName", "ServiceName")],
    ("AWS/ECS", "MemoryUtilization"): [("ClusterName", "ServiceName")],
    ("AWS/RDS", "CPUUtilization"): [("DBInstanceIdentifier",)],
    ("AWS/RDS", "DatabaseConnections"): [("DBInstanceIdentifier",)],
    ("AWS/RDS", "FreeStorageSpace"): [("DBInstanceIdentifier",)],
}

#: The namespace of the service's metrics, in an alarm and on the dashboard.
OF_SERVICE = ({"Ref": "AWS::StackName"}, "${AWS::StackName}")
#: Namespace, name and dimensions.
Used = tuple[Any, str, dict[str, Any]]


def metrics_of_alarm(alarm: dict[str, Any]) -> Iterator[Used]:
    queries = [each["MetricStat"]["Metric"] for each in alarm.get("Metrics", []) if "MetricStat" in each]
    for metric in queries or [alarm]:
        yield metric["Namespace"], metric["MetricName"], {each["Name"]: each["Value"] for each in metric["Dimensions"]}


def metrics_of_dashboard() -> Iterator[Used]:
    [dashboard] = templates.of_type(TEMPLATE, "AWS::CloudWatch::Dashboard").values()
    text, variables = dashboard["DashboardBody"]["Fn::Sub"]
    body = json.loads(text.replace("${DatabaseWidget}", variables["DatabaseWidget"]["Fn::Sub"]))
    for widget in body["widgets"]:
        previous: list[str] = []
        for row in widget["properties"]["metrics"]:
            row = [each for each in row if isinstance(each, str)]
            if row[0] == "...":
                row = previous[: 1 - len(row)] + row[1:]
            previous = row = [previous[at] if each == "." else each for at, each in enumerate(row)]
            yield row[0], row[1], dict(zip(row[2::2], row[3::2], strict=True))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> set[service.Metric]:
    return service.metrics(tmp_path_factory.mktemp("service"))


def is_published(used: Used, published: set[service.Metric]) -> bool:
    namespace, name, dimensions = used
    if namespace not in OF_SERVICE:
        return tuple(sorted(dimensions)) in OF_AWS[namespace, name]
    # The service that the test runs is not one in production.
    assert dimensions["environment"] == "production"
    return (name, tuple(sorted((dimensions | {"environment": "development"}).items()))) in published


def test_there_is_an_alarm_for_each_trouble_that_tells_people() -> None:
    assert tuple(ALARMS) == NAMES
    for alarm in ALARMS.values():
        assert alarm["AlarmName"]["Fn::Sub"].startswith(PREFIX)
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "Alarms"}]
        assert alarm["AlarmDescription"]


@pytest.mark.parametrize("name", ALARMS)
def test_every_metric_of_an_alarm_is_published(name: str, published: set[service.Metric]) -> None:
    for used in metrics_of_alarm(ALARMS[name]):
        assert is_published(used, published), used


def test_every_metric_of_the_dashboard_is_published(published: set[service.Metric]) -> None:
    used = list(metrics_of_dashboard())
    assert len(used) > 25
    for each in used:
        assert is_published(each, published), each
