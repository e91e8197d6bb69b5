"""The CDK app and the Terraform module describe the service that the CloudFormation template describes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import cloudformation_reader
import pytest
import terraform_reader
from cdk_synthesis import synthesize
from cloudformation_reader import Template
from descriptions import Description
from terraform_copy import state_after
from terraform_reader import State

from templates import example, load, resolve

#: The name of each example, which CloudFormation's gets as the name of its stack.
NAMES = {"small": "orderconfirm", "large": "shop-orders"}
#: CDK lets the execution role also read a secret's description.
CDK_ADDS = ("secretsmanager:DescribeSecret", "secretsmanager")


def from_cloudformation(size: str) -> Description:
    bootstrap, service = load("bootstrap.yaml"), load("service.yaml")
    parameters = {name: each["Default"] for name, each in service["Parameters"].items() if "Default" in each}
    parameters |= example(size)
    # A file with more settings in S3: the others take them directly.
    parameters |= {"SettingsFileArn": ""}
    known = parameters | {"AWS::StackName": NAMES[size]}
    return cloudformation_reader.describe(
        Template(resolve(bootstrap, {})), Template(resolve(service, parameters), known)
    )


def from_cdk(size: str) -> Description:
    bootstrap, service = synthesize(size)
    exporting = Template(bootstrap.to_json())
    description = cloudformation_reader.describe(exporting, Template(service.to_json(), exporting=exporting))
    execution = description.rights["execution"]
    assert CDK_ADDS in execution
    return replace(description, rights={**description.rights, "execution": execution - {CDK_ADDS}})


def from_terraform(size: str) -> Description:
    return terraform_reader.describe(State(state_after(size)))


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("read", [from_cdk, from_terraform])
def test_the_service_is_the_one_of_the_template(read: Callable[[str], Description], size: str) -> None:
    expected, actual = from_cloudformation(size), read(size)
    for each in fields(Description):
        assert getattr(actual, each.name) == getattr(expected, each.name), each.name
