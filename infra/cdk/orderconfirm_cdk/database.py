"""The database of the outbox."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from orderconfirm_cdk.config import Config

NAME = "orders"


class Database(Construct):
    """PostgreSQL on RDS: encrypted, private, backed up, and reached by TLS alone."""

    def __init__(self, scope: Construct, construct_id: str, *, config: Config, vpc: ec2.IVpc) -> None:
        super().__init__(scope, construct_id)
        # Not rotated by AWS: between a rotation and the end of the deployment that follows, no task could open a
        # connection.
        self.secret = secretsmanager.Secret(
            self,
            "Secret",
            description=f"Login of {config.name} to its database",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template=f'{{"username": "{NAME}"}}',
                generate_string_key="password",
                password_length=40,
                exclude_punctuation=True,
            ),
        )
        self.instance = rds.DatabaseInstance(
            self,
            "Instance",
            engine=rds.DatabaseInstanceEngine.postgres(version=rds.PostgresEngineVersion.VER_17),
            engine_lifecycle_support=rds.EngineLifecycleSupport.OPEN_SOURCE_RDS_EXTENDED_SUPPORT_DISABLED,
            auto_minor_version_upgrade=True,
            instance_type=ec2.InstanceType(config.database_class),
            multi_az=config.database_multi_az,
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnets=vpc.isolated_subnets or vpc.private_subnets),
            security_groups=[
                ec2.SecurityGroup(self, "SecurityGroup", vpc=vpc, description="Database", allow_all_outbound=False)
            ],
            database_name=NAME,
            credentials=rds.Credentials.from_secret(self.secret, NAME),
            parameters={"rds.force_ssl": "1"},
            storage_type=rds.StorageType.GP3,
            allocated_storage=config.database_storage_gib,
            max_allocated_storage=config.database_max_storage_gib,
            storage_encrypted=True,
            backup_retention=Duration.days(config.backup_days),
            delete_automated_backups=False,
            copy_tags_to_snapshot=True,
            deletion_protection=config.deletion_protection,
            # A last snapshot is kept when the stack is deleted.
            removal_policy=RemovalPolicy.SNAPSHOT,
        )
