"""The CDK app: what must exist before the service, and the service."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from orderconfirm_cdk.config import Config
from orderconfirm_cdk.stacks import BootstrapStack, ServiceStack

FOLDER = Path(__file__).parent

app = cdk.App()
config = Config.from_file(FOLDER / app.node.get_context("config"))
env = cdk.Environment(account=config.account, region=config.region)
bootstrap = BootstrapStack(app, f"{config.name}-bootstrap", config=config, env=env)
ServiceStack(app, config.name, config=config, repository=bootstrap.repository, secret=bootstrap.secret, env=env)
app.synth()
