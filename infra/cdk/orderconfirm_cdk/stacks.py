"""The two stacks of an installation."""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from orderconfirm_cdk.alarms import Alarms
from orderconfirm_cdk.config import Config
from orderconfirm_cdk.container_settings import container_settings
from orderconfirm_cdk.dashboard import add_dashboard
from orderconfirm_cdk.database import Database
from orderconfirm_cdk.redeployment import Redeployment
from orderconfirm_cdk.service import Service


class BootstrapStack(Stack):
    """What must exist before the service: the image repository, and the secret with the service's keys.

    Deleting this stack keeps both.
    """

    def __init__(self, scope: Construct, construct_id: str, *, config: Config, **options: Any) -> None:
        super().__init__(scope, construct_id, **options)
        self.repository = ecr.Repository(
            self,
            "Repository",
            repository_name=config.name,
            image_scan_on_push=True,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            removal_policy=RemovalPolicy.RETAIN,
        )
        self.repository.add_lifecycle_rule(
            description="Delete what no tag names", tag_status=ecr.TagStatus.UNTAGGED, max_image_age=Duration.days(14)
        )
        self.repository.add_lifecycle_rule(description="Keep 30 releases", tag_pattern_list=["*"], max_image_count=30)
        # Replace the placeholders with "aws secretsmanager put-secret-value" before the service is deployed.
        self.secret = secretsmanager.Secret(
            self,
            "Secret",
            description=f"Keys of the service {config.name}",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template='{"MAILTRAP_API_TOKEN": "", "API_KEYS": ""}',  # noqa: S106 (no password)
                generate_string_key="METRICS_KEY",
                password_length=40,
                exclude_punctuation=True,
            ),
            removal_policy=RemovalPolicy.RETAIN,
        )
        CfnOutput(self, "RepositoryUri", value=self.repository.repository_uri)
        CfnOutput(self, "SecretArn", value=self.secret.secret_arn)


class ServiceStack(Stack):
    """The service behind HTTPS, with its database and its alarms."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: Config,
        repository: ecr.IRepository,
        secret: secretsmanager.ISecret,
        **options: Any,
    ) -> None:
        super().__init__(scope, construct_id, **options)
        vpc = ec2.Vpc.from_lookup(self, "Vpc", vpc_id=config.vpc_id) if config.vpc_id else _vpc(self)
        database = None if config.database_url_arn else Database(self, "Database", config=config, vpc=vpc)
        database_secret = (
            database.secret
            if database
            else secretsmanager.Secret.from_secret_complete_arn(self, "DatabaseUrl", str(config.database_url_arn))
        )
        environment, secrets = container_settings(
            config,
            secret=secret,
            database_secret=database_secret,
            database_host=database.instance.db_instance_endpoint_address if database else None,
        )
        service = Service(
            self,
            "Service",
            config=config,
            vpc=vpc,
            image=ecs.ContainerImage.from_ecr_repository(repository, config.image_tag),
            environment=environment,
            secrets=secrets,
        )
        if database:
            database.instance.connections.allow_default_port_from(service.security_group, "Tasks")
        Redeployment(self, "Redeployment", service=service.fargate, secrets=[secret, database_secret])
        Alarms(self, "Alarms", config=config, service=service, database=database)
        add_dashboard(self, config=config, service=service, database=database)
        CfnOutput(self, "BalancerName", value=service.balancer.load_balancer_dns_name)
        CfnOutput(self, "TaskNetwork", value=service.network)


def _vpc(stack: Stack) -> ec2.Vpc:
    """Make public subnets for the load balancer and the tasks, and others for the database, which reach no internet.

    Tasks have public addresses, because a NAT gateway would cost more than all tasks together; their security group
    admits the load balancer alone.
    """
    return ec2.Vpc(
        stack,
        "Vpc",
        max_azs=2,
        nat_gateways=0,
        subnet_configuration=[
            ec2.SubnetConfiguration(name="public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=24),
            ec2.SubnetConfiguration(name="database", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24),
        ],
    )
