"""New deployments for new values of secrets."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct


class Redeployment(Construct):
    """A new value of a secret starts a new deployment. An EventBridge rule cannot call ECS itself."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        service: ecs.FargateService,
        secrets: list[secretsmanager.ISecret],
    ) -> None:
        super().__init__(scope, construct_id)
        deploy = tasks.CallAwsService(
            self,
            "Deploy",
            service="ecs",
            action="updateService",
            parameters={
                "Cluster": service.cluster.cluster_name,
                "Service": service.service_name,
                "ForceNewDeployment": True,
            },
            iam_action="ecs:UpdateService",
            iam_resources=[service.service_arn],
            # The answer has the whole service and may be too long.
            result_selector={},
        )
        deploy.add_retry(interval=Duration.seconds(10), max_attempts=3, backoff_rate=2)
        machine = sfn.StateMachine(
            self,
            "Machine",
            comment="Replace the tasks, so that they read the secrets again",
            definition_body=sfn.DefinitionBody.from_chainable(deploy),
        )
        events.Rule(
            self,
            "Rule",
            description="A secret of the service has a new value",
            event_pattern=events.EventPattern(
                source=["aws.secretsmanager"],
                detail_type=["Secret Label Updated"],
                resources=[secret.secret_arn for secret in secrets],
                detail={"labelUpdated": ["AWSCURRENT"]},
            ),
            targets=[targets.SfnStateMachine(machine)],
        )
