"""The task: one container of the service, with its roles and its log."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Aws, Duration, Size
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from orderconfirm_cdk.config import Config

PORT = 8000
_RETENTION = {
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    60: logs.RetentionDays.TWO_MONTHS,
    90: logs.RetentionDays.THREE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
}


def add_task_definition(
    scope: Construct,
    *,
    config: Config,
    image: ecs.ContainerImage,
    environment: Mapping[str, str],
    secrets: Mapping[str, ecs.Secret],
) -> ecs.FargateTaskDefinition:
    task = ecs.FargateTaskDefinition(
        scope,
        "Task",
        family=config.name,
        cpu=config.cpu,
        memory_limit_mib=config.memory_mib,
        runtime_platform=ecs.RuntimePlatform(
            cpu_architecture=ecs.CpuArchitecture.of(config.architecture),
            operating_system_family=ecs.OperatingSystemFamily.LINUX,
        ),
        # The image, the secrets and the log give it their rights.
        execution_role=_role(scope, "ExecutionRole"),
        # What the service may do in AWS: nothing.
        task_role=_role(scope, "TaskRole"),
    )
    capabilities = ecs.LinuxParameters(scope, "Linux")
    capabilities.drop_capabilities(ecs.Capability.ALL)
    task.add_container(
        "orderconfirm",
        image=image,
        user="10001:10001",
        # Only /dev/shm is written to, where gunicorn keeps its heartbeat files.
        readonly_root_filesystem=True,
        linux_parameters=capabilities,
        port_mappings=[ecs.PortMapping(container_port=PORT)],
        environment=dict(environment),
        # Read when a task starts. Redeployment replaces the tasks when one changes.
        secrets=dict(secrets),
        stop_timeout=Duration.seconds(config.stop_timeout),
        health_check=_health_check(),
        logging=_log(scope, config),
    )
    return task


def _role(scope: Construct, construct_id: str) -> iam.Role:
    here = {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
    return iam.Role(scope, construct_id, assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com", conditions=here))


def _health_check() -> ecs.HealthCheck:
    """Return the health check of the image, which ECS ignores there."""
    return ecs.HealthCheck(
        command=["CMD", "python", "-IS", "/app/healthcheck.py"],
        interval=Duration.seconds(10),
        timeout=Duration.seconds(5),
        retries=3,
        start_period=Duration.seconds(60),
    )


def _log(scope: Construct, config: Config) -> ecs.LogDriver:
    """Return a driver that drops lines while CloudWatch Logs is away. Otherwise the service would stand still."""
    group = logs.LogGroup(
        scope, "Log", log_group_name=f"/ecs/{config.name}", retention=_RETENTION[config.log_retention_days]
    )
    return ecs.LogDrivers.aws_logs(
        stream_prefix="task",
        log_group=group,
        mode=ecs.AwsLogDriverMode.NON_BLOCKING,
        max_buffer_size=Size.mebibytes(10),
    )
