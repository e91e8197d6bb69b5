"""The templates deployed, updated and deleted in a local stand-in for AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

import stand_in
import templates

TEMPLATE = stand_in.stripped(templates.load("service.yaml"))
#: A resource that the stand-in cannot make, to be made after the service has its new image.
IMPOSSIBLE = {"Type": "AWS::ApplicationAutoScaling::ScalableTarget", "DependsOn": "Service", "Properties": {}}


class Stack:
    """A stack in the stand-in."""

    def __init__(self, aws: boto3.Session, name: str) -> None:
        self._name = name
        self._client = aws.client("cloudformation")

    def deploy(self, template: dict[str, Any], parameters: dict[str, str]) -> str:
        """Create the stack, or update it if it exists, and return its status at the end."""
        exists = any(each["StackName"] == self._name for each in self._client.describe_stacks()["Stacks"])
        call = self._client.update_stack if exists else self._client.create_stack
        call(
            StackName=self._name,
            TemplateBody=json.dumps(template),
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        waiter = self._client.get_waiter("stack_update_complete" if exists else "stack_create_complete")
        try:
            waiter.wait(StackName=self._name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        except Exception:
            pass
        return self.describe()["StackStatus"]  # type: ignore[no-any-return]

    def describe(self) -> dict[str, Any]:
        [stack] = self._client.describe_stacks(StackName=self._name)["Stacks"]
        return stack  # type: ignore[no-any-return]
