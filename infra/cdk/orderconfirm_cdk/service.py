"""The tasks and their load balancer."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk.aws_cloudwatch import Metric
from constructs import Construct

from orderconfirm_cdk.config import Config
from orderconfirm_cdk.task import PORT, add_task_definition


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
        self.security_group = self._security_group(vpc)
        has_public_addresses = not vpc.private_subnets
        subnets = vpc.public_subnets if has_public_addresses else vpc.private_subnets
        #: For "aws ecs run-task --network-configuration", for example with the command "flask db upgrade".
        self.network = (
            f"awsvpcConfiguration={{subnets=[{','.join(subnet.subnet_id for subnet in subnets)}],"
            f"securityGroups=[{self.security_group.security_group_id}],"
            f"assignPublicIp={'ENABLED' if has_public_addresses else 'DISABLED'}}}"
        )
        task = add_task_definition(self, config=config, image=image, environment=environment, secrets=secrets)
        self.fargate = self._tasks(task, vpc, subnets, has_public_addresses)
        self._scale()
        self.balancer = self._balancer(vpc)
        self.target_group = self._publish()

    def metric(self, name: str, *, statistic: str = "Sum", period: Duration | None = None, **labels: str) -> Metric:
        """Return a metric that the service publishes. The environment is the one that APP_ENV names."""
        return Metric(
            namespace=self.config.name,
            metric_name=name,
            dimensions_map={"environment": "production", **labels},
            statistic=statistic,
            period=period or Duration.minutes(1),
        )

    def _security_group(self, vpc: ec2.IVpc) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(self, "SecurityGroup", vpc=vpc, description="Tasks", allow_all_outbound=False)
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "Registry and secrets and log")
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(self.config.mail_port), "Relay")
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp_range(5432, 6543), "PostgreSQL and its poolers")
        return group

    def _tasks(
        self, task: ecs.FargateTaskDefinition, vpc: ec2.IVpc, subnets: list[ec2.ISubnet], has_public_addresses: bool
    ) -> ecs.FargateService:
        fargate = ecs.FargateService(
            self,
            "Tasks",
            service_name="orderconfirm",
            cluster=ecs.Cluster(self, "Cluster", vpc=vpc, cluster_name=self.config.name),
            task_definition=task,
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
        # The first tasks need their rights.
        fargate.node.add_dependency(task.execution_role)
        return fargate

    def _scale(self) -> None:
        """Add tasks by their CPU time.

        More tasks accept more orders. They do not send more mails than the relay's limits allow, so the age of the
        oldest due mail is an alarm and not a reason to scale.
        """
        self.fargate.auto_scale_task_count(
            min_capacity=self.config.min_tasks, max_capacity=self.config.max_tasks
        ).scale_on_cpu_utilization(
            "Cpu",
            target_utilization_percent=60,
            scale_out_cooldown=Duration.seconds(60),
            scale_in_cooldown=Duration.seconds(300),
        )

    def _balancer(self, vpc: ec2.IVpc) -> elb.ApplicationLoadBalancer:
        return elb.ApplicationLoadBalancer(
            self,
            "Balancer",
            vpc=vpc,
            internet_facing=True,
            # Shorter than the 75 seconds for which the service keeps an idle connection, longer than "Prefer: wait=30".
            idle_timeout=Duration.seconds(60),
            drop_invalid_header_fields=True,
            deletion_protection=self.config.deletion_protection,
        )

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
