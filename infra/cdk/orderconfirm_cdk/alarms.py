"""The alarms, and the topic they are sent to. docs/aws.md says what to do about each alarm."""

from __future__ import annotations

from aws_cdk import Duration, Size
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk.aws_cloudwatch import ComparisonOperator, IMetric, MathExpression, Metric, TreatMissingData
from aws_cdk.aws_elasticloadbalancingv2 import HttpCodeElb, HttpCodeTarget
from constructs import Construct

from orderconfirm_cdk.config import Config
from orderconfirm_cdk.database import Database
from orderconfirm_cdk.service import Service


class Alarms(Construct):
    """Alarms about what the load balancer, the service and the database report."""

    def __init__(
        self, scope: Construct, construct_id: str, *, config: Config, service: Service, database: Database | None
    ) -> None:
        super().__init__(scope, construct_id)
        self._name = config.name
        self._service = service
        self.topic = sns.Topic(self, "Topic")
        if config.alarm_email:
            self.topic.add_subscription(subscriptions.EmailSubscription(config.alarm_email))
        self._about_requests()
        self._about_mails()
        self._about_orders(config.no_orders_hours)
        if database:
            self._add(
                "database-storage",
                "The database has less than 2 GiB left. A full one takes no orders.",
                database.instance.metric_free_storage_space(statistic="Minimum", period=Duration.minutes(5)),
                threshold=Size.gibibytes(2).to_bytes(),
                comparison=ComparisonOperator.LESS_THAN_THRESHOLD,
                periods=2,
                missing=TreatMissingData.MISSING,
            )

    def _about_requests(self) -> None:
        balancer, targets = self._service.balancer.metrics, self._service.target_group.metrics
        options = {"period": Duration.minutes(5)}
        self._add(
            "http-5xx",
            "More than 1 % of the requests have failed for ten minutes, in the service or before it.",
            # The load balancer does not count a request that no task could take as one of the target group.
            MathExpression(
                expression="100 * (FILL(target, 0) + FILL(balancer, 0)) / (FILL(requests, 0) + FILL(balancer, 0))",
                using_metrics={
                    "target": targets.http_code_target(HttpCodeTarget.TARGET_5XX_COUNT, statistic="Sum"),
                    "balancer": balancer.http_code_elb(HttpCodeElb.ELB_5XX_COUNT, statistic="Sum"),
                    "requests": targets.request_count(statistic="Sum"),
                },
                **options,
            ),
            threshold=1,
            periods=2,
        )
        self._add(
            "latency-p95",
            "One request in twenty has taken longer than a second for ten minutes. "
            '"Prefer: wait" is meant to wait: raise the threshold if the shop sends it often.',
            targets.target_response_time(statistic="p95", **options),
            threshold=1,
            periods=2,
        )

    def _about_mails(self) -> None:
        hour, day = Duration.hours(1), Duration.days(1)
        self._add(
            "mails-failed",
            "More than 5 % of the mails of an hour, and more than five, were refused for good or given up.",
            MathExpression(
                expression="IF(FILL(failed, 0) + FILL(expired, 0) > 5, 100 * (FILL(failed, 0) + FILL(expired, 0)) "
                "/ (FILL(sent, 0) + FILL(failed, 0) + FILL(expired, 0)), 0)",
                using_metrics={each: self._sends(each, hour) for each in ("sent", "failed", "expired")},
                period=hour,
            ),
            threshold=5,
        )
        self._add(
            "bounces",
            "More than 5 % of a day's mails, and more than five, have bounced.",
            MathExpression(
                expression="IF(FILL(bounced, 0) > 5, 100 * FILL(bounced, 0) / sent, 0)",
                using_metrics={"sent": self._sends("sent", day), "bounced": self._deliveries("bounced", day)},
                period=day,
            ),
            threshold=5,
        )
        self._add(
            "complaints",
            "More than 0.1 % of a day's mails, and more than two, were reported as spam.",
            MathExpression(
                expression="IF(FILL(complained, 0) > 2, 100 * FILL(complained, 0) / sent, 0)",
                using_metrics={"sent": self._sends("sent", day), "complained": self._deliveries("complained", day)},
                period=day,
            ),
            threshold=0.1,
        )
        self._add(
            "oldest-due",
            "For five minutes, the oldest due mail has been due for more than 15 minutes, or nothing reports.",
            self._service.metric("oldest_due_seconds", statistic="Maximum"),
            threshold=900,
            periods=5,
            # Without metrics, no task runs or none can read the database.
            missing=TreatMissingData.BREACHING,
        )
        self._add(
            "relay-paused",
            "The relay has refused all mails for five minutes. Orders wait.",
            self._service.metric("relay_paused", statistic="Maximum"),
            threshold=1,
            comparison=ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            periods=5,
        )

    def _about_orders(self, hours: int) -> None:
        self._add(
            "no-orders",
            f"No order has been accepted for {hours} hours.",
            self._service.metric("orders_accepted_total", period=Duration.hours(1)),
            threshold=1,
            comparison=ComparisonOperator.LESS_THAN_THRESHOLD,
            periods=hours,
            missing=TreatMissingData.BREACHING,
        )

    def _sends(self, outcome: str, period: Duration) -> Metric:
        return self._service.metric("sends_total", period=period, outcome=outcome)

    def _deliveries(self, delivery: str, period: Duration) -> Metric:
        return self._service.metric("delivery_events_total", period=period, delivery=delivery)

    def _add(
        self,
        name: str,
        description: str,
        metric: IMetric,
        *,
        threshold: float,
        comparison: ComparisonOperator = ComparisonOperator.GREATER_THAN_THRESHOLD,
        periods: int = 1,
        missing: TreatMissingData = TreatMissingData.NOT_BREACHING,
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_name=f"{self._name}-{name}",
            alarm_description=description,
            metric=metric,
            threshold=threshold,
            comparison_operator=comparison,
            evaluation_periods=periods,
            treat_missing_data=missing,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))
        alarm.add_ok_action(actions.SnsAction(self.topic))
        # Before, there are no metrics of the service.
        alarm.node.add_dependency(self._service.fargate)
