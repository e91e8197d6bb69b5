"""The figures of the service on one page."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk.aws_cloudwatch import Dashboard, GraphWidget, IMetric, IWidget
from aws_cdk.aws_elasticloadbalancingv2 import HttpCodeElb, HttpCodeTarget
from constructs import Construct

from orderconfirm_cdk.config import Config
from orderconfirm_cdk.database import Database
from orderconfirm_cdk.service import Service


def add_dashboard(scope: Construct, *, config: Config, service: Service, database: Database | None) -> None:
    rows = [_mails(service), _sends(service), _requests(service), _machines(service, database)]
    Dashboard(scope, "Dashboard", dashboard_name=config.name, widgets=rows)


def _graph(title: str, left: list[IMetric], right: list[IMetric] | None = None, *, seconds: int = 300) -> GraphWidget:
    return GraphWidget(title=title, left=left, right=right, period=Duration.seconds(seconds), width=12)


def _metrics(service: Service, name: str, label: str, values: str, statistic: str = "Sum") -> list[IMetric]:
    """Return a metric of the service for each value of its label."""
    return [service.metric(name, statistic=statistic, **{label: value}) for value in values.split()]


def _mails(service: Service) -> list[IWidget]:
    return [
        _graph(
            "Mails by state",
            _metrics(service, "mails", "state", "queued sending unknown held failed", "Maximum"),
            seconds=60,
        ),
        _graph(
            "Age of the oldest due mail, in seconds",
            [service.metric("oldest_due_seconds", statistic="Maximum")],
            [service.metric("relay_paused", statistic="Maximum")],
            seconds=60,
        ),
    ]


def _sends(service: Service) -> list[IWidget]:
    return [
        _graph(
            "Orders accepted, attempts to send by outcome",
            [
                service.metric("orders_accepted_total"),
                *_metrics(service, "sends_total", "outcome", "sent deferred unknown failed expired held"),
            ],
        ),
        _graph(
            "Delivery events",
            _metrics(service, "delivery_events_total", "delivery", "delivered soft_bounced bounced complained"),
            seconds=3600,
        ),
    ]


def _requests(service: Service) -> list[IWidget]:
    balancer = service.balancer.metrics
    return [
        _graph(
            "Responses",
            [
                balancer.http_code_target(HttpCodeTarget.TARGET_2XX_COUNT),
                balancer.http_code_target(HttpCodeTarget.TARGET_4XX_COUNT),
                balancer.http_code_target(HttpCodeTarget.TARGET_5XX_COUNT),
                balancer.http_code_elb(HttpCodeElb.ELB_5XX_COUNT),
            ],
        ),
        _graph(
            "95 % take at most, in seconds",
            [
                balancer.target_response_time(statistic="p95"),
                service.metric("http_request_duration_seconds_p95", statistic="Maximum"),
                service.metric("send_duration_seconds_p95", statistic="Maximum"),
            ],
            [service.metric("accepted_to_sent_seconds_p95", statistic="Maximum")],
        ),
    ]


def _machines(service: Service, database: Database | None) -> list[IWidget]:
    tasks = service.fargate
    widgets: list[IWidget] = [
        _graph(
            "CPU and memory of the tasks, in percent",
            [tasks.metric_cpu_utilization(), tasks.metric_memory_utilization()],
        )
    ]
    if database:
        instance = database.instance
        widgets.append(
            _graph(
                "Database",
                [instance.metric_cpu_utilization(), instance.metric_database_connections()],
                [instance.metric_free_storage_space(statistic="Minimum")],
            )
        )
    return widgets
