"""The tasks and their load balancer."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Aws, Duration, Size
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
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


class Service(Construct):
    """The service on Fargate behind a load balancer that publishes /api/ alone."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: Config,
        vpc: ec2.IVpc,
        image: ecs.ContainerImage,
        environment: Mapping[str, str],
        secrets: Mapping[str, ecs.Secret],
    ) -> None:
        super().__init__(scope, construct_id)
        self.config = config
        self.cluster = ecs.Cluster(self, "Cluster", vpc=vpc, cluster_name=config.name)
        self.security_group = self._security_group(vpc)
        # The image, the secrets and the log give it their rights.
        self.execution_role = self._role("ExecutionRole")
        has_public_addresses = not vpc.private_subnets
        subnets = vpc.public_subnets if has_public_addresses else vpc.private_subnets
        self.fargate = ecs.FargateService(
            self,
            "Tasks",
            service_name="orderconfirm",
            cluster=self.cluster,
            task_definition=self._task_definition(image, environment, secrets),
            security_groups=[self.security_group],
            vpc_subnets=ec2.SubnetSelection(subnets=subnets),
            assign_public_ip=has_public_addresses,
            min_healthy_percent=100,
            max_healthy_percent=200,
            circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
            health_check_grace_period=Duration.seconds(60),
            enable_ecs_managed_tags=True,
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
        )
        #: For "aws ecs run-task --network-configuration", for example with the command "flask db upgrade".
        self.network = (
            f"awsvpcConfiguration={{subnets=[{','.join(subnet.subnet_id for subnet in subnets)}],"
            f"securityGroups=[{self.security_group.security_group_id}],"
            f"assignPublicIp={'ENABLED' if has_public_addresses else 'DISABLED'}}}"
        )
        # The first tasks need their rights.
        self.fargate.node.add_dependency(self.execution_role)
        # More tasks accept more orders. They do not send more mails than the relay's limits allow, so the age of the
        # oldest due mail is an alarm and not a reason to scale.
        self.fargate.auto_scale_task_count(
            min_capacity=config.min_tasks, max_capacity=config.max_tasks
        ).scale_on_cpu_utilization(
            "Cpu",
            target_utilization_percent=60,
            scale_out_cooldown=Duration.seconds(60),
            scale_in_cooldown=Duration.seconds(300),
        )
        self.balancer = elb.ApplicationLoadBalancer(
            self,
            "Balancer",
            vpc=vpc,
            internet_facing=True,
            # Shorter than the 75 seconds for which the service keeps an idle connection, longer than "Prefer: wait=30".
            idle_timeout=Duration.seconds(60),
            drop_invalid_header_fields=True,
            deletion_protection=config.deletion_protection,
        )
        self.target_group = self._publish()

    def _security_group(self, vpc: ec2.IVpc) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(self, "SecurityGroup", vpc=vpc, description="Tasks", allow_all_outbound=False)
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "Registry and secrets and log")
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(self.config.mail_port), "Relay")
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp_range(5432, 6543), "PostgreSQL and its poolers")
        return group

    def _task_definition(
        self, image: ecs.ContainerImage, environment: Mapping[str, str], secrets: Mapping[str, ecs.Secret]
    ) -> ecs.FargateTaskDefinition:
        config = self.config
        task = ecs.FargateTaskDefinition(
            self,
            "Task",
            family=config.name,
            cpu=config.cpu,
            memory_limit_mib=config.memory_mib,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=ecs.CpuArchitecture.of(config.architecture),
                operating_system_family=ecs.OperatingSystemFamily.LINUX,
            ),
            execution_role=self.execution_role,
            # What the service may do in AWS: nothing.
            task_role=self._role("TaskRole"),
        )
        capabilities = ecs.LinuxParameters(self, "Linux")
        capabilities.drop_capabilities(ecs.Capability.ALL)
        log_group = logs.LogGroup(
            self, "Log", log_group_name=f"/ecs/{config.name}", retention=_RETENTION[config.log_retention_days]
        )
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
            # ECS ignores the health check of an image.
            health_check=ecs.HealthCheck(
                command=["CMD", "python", "-IS", "/app/healthcheck.py"],
                interval=Duration.seconds(10),
                timeout=Duration.seconds(5),
                retries=3,
                start_period=Duration.seconds(60),
            ),
            # While CloudWatch Logs is away, lines are dropped. Otherwise the service would stand still.
            logging=ecs.LogDrivers.aws_logs(
                stream_prefix="task",
                log_group=log_group,
                mode=ecs.AwsLogDriverMode.NON_BLOCKING,
                max_buffer_size=Size.mebibytes(10),
            ),
        )
        return task

    def _role(self, construct_id: str) -> iam.Role:
        here = {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
        return iam.Role(self, construct_id, assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com", conditions=here))

    def _publish(self) -> elb.ApplicationTargetGroup:
        self.balancer.add_redirect()
        listener = self.balancer.add_listener(
            "Https",
            port=443,
            certificates=[acm.Certificate.from_certificate_arn(self, "Certificate", self.config.certificate_arn)],
            # TLS 1.2 and 1.3 with forward secrecy and authenticated encryption only.
            ssl_policy=elb.SslPolicy.TLS13_RES,
            # Metrics, health checks, documentation and pages are not for the internet.
            default_action=elb.ListenerAction.fixed_response(
                404, content_type="application/json", message_body='{"title": "Not found"}'
            ),
        )
        return listener.add_targets(
            "Api",
            priority=1,
            conditions=[elb.ListenerCondition.path_patterns(["/api/*"])],
            port=PORT,
            protocol=elb.ApplicationProtocol.HTTP,
            targets=[self.fargate],
            # A task gets SIGTERM only after this delay, in which a request with "Prefer: wait=30" is answered.
            deregistration_delay=Duration.seconds(35),
            # Not /readyz: a failover of the database would fail the checks of all tasks, and ECS would replace them all
            # at once.
            health_check=elb.HealthCheck(
                path="/livez",
                interval=Duration.seconds(10),
                timeout=Duration.seconds(5),
                healthy_threshold_count=2,
                unhealthy_threshold_count=3,
            ),
        )
