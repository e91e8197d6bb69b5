"""The templates deployed, updated and deleted in a local stand-in for AWS.

Its rollback of an update deletes what the update has touched, so what ECS does in a rollback cannot be tried here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import aws_stand_in
import boto3
import pytest

import templates

NAME = "orderconfirm"
SECRET = templates.example("small")["SecretArn"]
#: The stand-in makes resources in the order of their names, where nothing else decides.
FIRST = "A"
MAX_SECONDS = 60


class Stack:
    """The service's stack in the stand-in."""

    def __init__(self, aws: boto3.Session) -> None:
        self.aws = aws
        self.client = aws.client("cloudformation")

    def create(self, template: dict[str, Any], parameters: dict[str, str]) -> str:
        return self._change(self.client.create_stack, template, parameters)

    def update(self, template: dict[str, Any], parameters: dict[str, str]) -> str:
        return self._change(self.client.update_stack, template, parameters)

    def _change(self, call: Callable[..., Any], template: dict[str, Any], parameters: dict[str, str]) -> str:
        """Make or change the stack. Return its state when that has ended."""
        pairs = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
        call(StackName=NAME, TemplateBody=json.dumps(template), Parameters=pairs, Capabilities=["CAPABILITY_IAM"])
        wait_until(lambda: not self.describe()["StackStatus"].endswith("IN_PROGRESS"))
        return self.describe()["StackStatus"]  # type: ignore[no-any-return]

    def delete(self) -> None:
        self.client.delete_stack(StackName=NAME)
        wait_until(lambda: not self.client.describe_stacks()["Stacks"])

    def describe(self) -> dict[str, Any]:
        [stack] = self.client.describe_stacks(StackName=NAME)["Stacks"]
        return stack  # type: ignore[no-any-return]

    def outputs(self) -> dict[str, str]:
        return {each["OutputKey"]: each["OutputValue"] for each in self.describe()["Outputs"]}

    def service(self) -> dict[str, Any]:
        [service] = self.aws.client("ecs").describe_services(cluster=NAME, services=["orderconfirm"])["services"]
        return service  # type: ignore[no-any-return]

    def container(self) -> dict[str, Any]:
        """Return the container of the task definition that the service uses."""
        definition = self.service()["taskDefinition"]
        answer = self.aws.client("ecs").describe_task_definition(taskDefinition=definition)
        [container] = answer["taskDefinition"]["containerDefinitions"]
        return container  # type: ignore[no-any-return]


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + MAX_SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture
def template() -> dict[str, Any]:
    return aws_stand_in.stripped(templates.load("service.yaml"))


@pytest.fixture
def stack(aws: boto3.Session, template: dict[str, Any]) -> Iterator[Stack]:
    """A deployed stack with the small example's parameters."""
    stack = Stack(aws)
    assert stack.create(template, templates.example("small")) == "CREATE_COMPLETE"
    yield stack
    stack.delete()


@pytest.mark.parametrize("example", ["small", "large"])
def test_an_example_can_be_deployed_and_deleted(aws: boto3.Session, template: dict[str, Any], example: str) -> None:
    stack = Stack(aws)
    assert stack.create(template, templates.example(example)) == "CREATE_COMPLETE"
    assert stack.outputs()["ClusterName"] == NAME
    alarms = aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert {each["AlarmName"] for each in alarms} >= {f"{NAME}-no-orders", f"{NAME}-relay-paused"}
    stack.delete()
    assert not aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert not aws.client("ecs").list_clusters()["clusterArns"]


def test_the_service_runs_the_image_with_its_database(stack: Stack) -> None:
    container = stack.container()
    assert container["image"] == f"{templates.IMAGE}:v0.1.0"
    environment = {each["name"]: each["value"] for each in container["environment"]}
    assert environment["PGHOST"] == stack.outputs()["DatabaseHost"]
    assert environment["EMAIL_SENDER"] == templates.example("small")["EmailSender"]


def test_the_dashboard_is_valid_json(stack: Stack) -> None:
    body = stack.aws.client("cloudwatch").get_dashboard(DashboardName=NAME)["DashboardBody"]
    assert len(json.loads(body)["widgets"]) == 8


def test_an_update_replaces_the_image(stack: Stack, template: dict[str, Any]) -> None:
    assert stack.update(template, templates.example("small", "v1.1.0")) == "UPDATE_COMPLETE"
    assert stack.container()["image"] == f"{templates.IMAGE}:v1.1.0"


def test_a_failed_update_is_rolled_back_with_its_reason(stack: Stack, template: dict[str, Any]) -> None:
    before = stack.outputs()
    template["Resources"][FIRST] = {"Type": "AWS::ApplicationAutoScaling::ScalableTarget", "Properties": {}}
    assert stack.update(template, templates.example("small", "v1.1.0")) == "UPDATE_ROLLBACK_COMPLETE"
    events = stack.client.describe_stack_events(StackName=NAME)["StackEvents"]
    [failure] = [each for each in events if each["ResourceStatus"] == "UPDATE_FAILED"]
    assert failure["LogicalResourceId"] == FIRST and "Unsupported" in failure["ResourceStatusReason"]
    assert stack.container()["image"] == f"{templates.IMAGE}:v0.1.0"
    assert stack.outputs() == before


def test_a_failed_first_deployment_leaves_nothing(aws: boto3.Session, template: dict[str, Any]) -> None:
    template["Resources"]["Last"] = {
        "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
        "DependsOn": "Service",
        "Properties": {},
    }
    stack = Stack(aws)
    assert stack.create(template, templates.example("small")) == "ROLLBACK_COMPLETE"
    assert not aws.client("ecs").list_clusters()["clusterArns"]
    stack.delete()


def test_a_new_value_of_a_secret_starts_a_new_deployment(stack: Stack) -> None:
    # AWS sends this event when "put-secret-value" has stored a value. The stand-in does not, and when it updates a
    # service, it ignores ForceNewDeployment.
    event = {
        "Source": "aws.secretsmanager",
        "DetailType": "Secret Label Updated",
        "Resources": [SECRET],
        "Detail": json.dumps({"name": "orderconfirm", "labelUpdated": "AWSCURRENT"}),
    }
    of_another = event | {"Resources": [SECRET.replace("orderconfirm", "another")]}
    stack.aws.client("events").put_events(Entries=[of_another, event])
    states = stack.aws.client("stepfunctions")
    [machine] = [each["stateMachineArn"] for each in states.list_state_machines()["stateMachines"]]

    def runs() -> list[str]:
        return [each["status"] for each in states.list_executions(stateMachineArn=machine)["executions"]]

    wait_until(lambda: "RUNNING" not in runs() and runs() != [])
    assert runs() == ["SUCCEEDED"]
    [step] = json.loads(states.describe_state_machine(stateMachineArn=machine)["definition"])["States"].values()
    assert step["Parameters"] == {"cluster": NAME, "service": "orderconfirm", "forceNewDeployment": True}


def test_the_bootstrap_stack_makes_a_repository_and_a_secret(aws: boto3.Session) -> None:
    bootstrap = aws_stand_in.stripped(templates.load("bootstrap.yaml"))
    client = aws.client("cloudformation")
    client.create_stack(StackName="bootstrap", TemplateBody=json.dumps(bootstrap), Capabilities=["CAPABILITY_IAM"])
    client.get_waiter("stack_create_complete").wait(StackName="bootstrap", WaiterConfig={"Delay": 1})
    [repository] = aws.client("ecr").describe_repositories()["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    [secret] = [
        each for each in aws.client("secretsmanager").list_secrets()["SecretList"] if "bootstrap" in each["Name"]
    ]
    value = json.loads(aws.client("secretsmanager").get_secret_value(SecretId=secret["Name"])["SecretString"])
    assert len(value["METRICS_KEY"]) == 40 and value["API_KEYS"] == ""
    client.delete_stack(StackName="bootstrap")
