"""The CDK app: what its constructs add by themselves, and what its settings change."""

from __future__ import annotations

import json

import aws_cdk as cdk
import pytest
import service
from aws_cdk.assertions import Match, Template
from cdk_synthesis import FOLDER, synthesize
from orderconfirm_cdk.config import Config
from orderconfirm_cdk.stacks import BootstrapStack, ServiceStack

URL_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:shared-url-AbCdEf"


def config(**changes: object) -> Config:
    """Return the settings of the small example with some changes."""
    return Config(**{**json.loads((FOLDER / "examples" / "small.json").read_text(encoding="utf-8")), **changes})


def service_template(**changes: object) -> Template:
    changed = config(**changes)
    app = cdk.App()
    bootstrap = BootstrapStack(app, "bootstrap", config=changed)
    return Template.from_stack(
        ServiceStack(app, "service", config=changed, repository=bootstrap.repository, secret=bootstrap.secret)
    )


def test_deleting_a_stack_keeps_images_and_keys_and_a_snapshot() -> None:
    bootstrap, template = synthesize("small")
    for kind in ("AWS::ECR::Repository", "AWS::SecretsManager::Secret"):
        bootstrap.has_resource(kind, {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"})
    template.has_resource("AWS::RDS::DBInstance", {"DeletionPolicy": "Snapshot"})


def test_no_construct_brings_a_function_or_a_gateway_along() -> None:
    for template in synthesize("small"):
        for kind in ("AWS::Lambda::Function", "AWS::EC2::NatGateway"):
            template.resource_count_is(kind, 0)


def test_tasks_are_reached_from_the_load_balancer_alone_and_the_database_from_the_tasks_alone() -> None:
    _, template = synthesize("small")
    ingress = template.find_resources("AWS::EC2::SecurityGroupIngress").values()
    sources = {json.dumps(each["Properties"]["SourceSecurityGroupId"]) for each in ingress}
    assert len(ingress) == len(sources) == 2
    groups = template.find_resources(
        "AWS::EC2::SecurityGroup", {"Properties": {"SecurityGroupIngress": Match.absent()}}
    )
    assert {each["Properties"]["GroupDescription"] for each in groups.values()} == {"Tasks", "Database"}


def test_an_update_does_not_set_the_number_of_tasks_back() -> None:
    for size in ("small", "large"):
        synthesize(size)[1].has_resource_properties("AWS::ECS::Service", {"DesiredCount": Match.absent()})


def test_an_existing_database_and_another_relay() -> None:
    settings = {"DEFAULT_LOCALE": "de"}
    template = service_template(
        database_url_arn=URL_ARN, mail_server="smtp.example", settings=settings, alarm_email=None
    )
    template.resource_count_is("AWS::RDS::DBInstance", 0)
    template.resource_count_is("AWS::SNS::Subscription", 0)
    template.has_resource_properties("AWS::Events::Rule", {"EventPattern": {"resources": Match.array_with([URL_ARN])}})
    [definition] = template.find_resources("AWS::ECS::TaskDefinition").values()
    [container] = definition["Properties"]["ContainerDefinitions"]
    environment = {each["Name"]: each["Value"] for each in container["Environment"]}
    assert environment["MAIL_SERVER"] == "smtp.example" and environment["DEFAULT_LOCALE"] == "de"
    secrets = {each["Name"]: each["ValueFrom"] for each in container["Secrets"]}
    assert secrets.keys() == {"API_KEYS", "METRICS_KEY", "MAIL_USERNAME", "MAIL_PASSWORD", "DATABASE_URL"}
    assert secrets["DATABASE_URL"] == URL_ARN
    assert environment.keys() | secrets.keys() <= service.settings()


@pytest.mark.parametrize(
    "changes",
    [
        {"stop_timeout": 121},
        {"stop_timeout": 29},
        {"min_tasks": 0},
        {"max_tasks": 1},
        {"no_orders_hours": 169},
        {"mail_port": 25},
        {"settings": {"STOP_TIMEOUT": "10"}},
    ],
)
def test_values_that_the_service_or_aws_would_refuse(changes: dict[str, object]) -> None:
    [name] = changes
    with pytest.raises(ValueError, match="STOP_TIMEOUT" if name == "settings" else name):
        config(**changes)
