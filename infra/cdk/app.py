"""The CDK app: what must exist before the service, and the service."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from orderconfirm_cdk.config import Config
from orderconfirm_cdk.stacks import BootstrapStack, ServiceStack

FOLDER = Path(__file__).parent


def add_stacks(app: cdk.App) -> tuple[BootstrapStack, ServiceStack]:
    """Add the stacks of the installation whose file is in the context `config`."""
    config = Config.from_file(FOLDER / app.node.get_context("config"))
    env = cdk.Environment(account=config.account, region=config.region)
    bootstrap = BootstrapStack(app, f"{config.name}-bootstrap", config=config, env=env)
    service = ServiceStack(
        app, config.name, config=config, repository=bootstrap.repository, secret=bootstrap.secret, env=env
    )
    return bootstrap, service


if __name__ == "__main__":
    app = cdk.App()
    add_stacks(app)
    app.synth()
