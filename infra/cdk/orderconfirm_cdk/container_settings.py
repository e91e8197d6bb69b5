"""The settings of the service: environment variables of its container."""

from __future__ import annotations

from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_secretsmanager as secretsmanager

from orderconfirm_cdk.config import Config
from orderconfirm_cdk.database import NAME


def container_settings(
    config: Config,
    *,
    secret: secretsmanager.ISecret,
    database_secret: secretsmanager.ISecret,
    database_host: str | None,
) -> tuple[dict[str, str], dict[str, ecs.Secret]]:
    """Return the plain settings, and those that ECS reads from secrets, by their names.

    `database_secret` has the login of `database_host`, or else the URL of a database.
    """
    environment = {
        "APP_ENV": "production",
        "STOP_TIMEOUT": str(config.stop_timeout),
        # The load balancer's X-Forwarded-For has the client's address.
        "TRUSTED_PROXIES": "1",
        # A task does not see its share of the CPUs, by which the service would choose.
        "SENDER": "process" if config.cpu >= 2048 else "thread",
        "METRICS_EMF": "true",
        "METRICS_EMF_NAMESPACE": config.name,
        "AUTO_MIGRATE": str(config.auto_migrate).lower(),
        "EMAIL_SENDER": config.email_sender,
        "COMPANY_NAME": config.company_name,
    }
    keys = ["API_KEYS", "METRICS_KEY"]
    if config.mail_server:
        environment |= {"MAIL_SERVER": config.mail_server, "MAIL_PORT": str(config.mail_port)}
        keys += ["MAIL_USERNAME", "MAIL_PASSWORD"]
    else:
        keys += ["MAILTRAP_API_TOKEN"]
    if config.mailtrap_webhook:
        keys += ["MAILTRAP_WEBHOOK_SECRET"]
    secrets = {key: ecs.Secret.from_secrets_manager(secret, key) for key in keys}
    if database_host:
        environment |= {
            "DATABASE_URL": f"postgresql:///{NAME}",
            "PGHOST": database_host,
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": "/etc/ssl/orderconfirm/database-ca.pem",
        }
        secrets |= {
            "PGUSER": ecs.Secret.from_secrets_manager(database_secret, "username"),
            "PGPASSWORD": ecs.Secret.from_secrets_manager(database_secret, "password"),
        }
    else:
        secrets["DATABASE_URL"] = ecs.Secret.from_secrets_manager(database_secret)
    return environment | config.settings, secrets
