"""The CDK app: what must exist before the service, and the service."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from config import Config
from stacks import BootstrapStack, ServiceStack

app = cdk.App()
config = Config.from_file(Path(app.node.get_context("config")))
env = cdk.Environment(account=config.account, region=config.region)
bootstrap = BootstrapStack(app, f"{config.name}-bootstrap", config=config, env=env)
ServiceStack(app, config.name, config=config, repository=bootstrap.repository, secret=bootstrap.secret, env=env)
app.synth()
