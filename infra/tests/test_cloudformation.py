"""The CloudFormation templates as texts: linted, checked with AWS's rules, and compared with the service."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import guard
import pytest
import service

import templates

SERVICE = templates.load("service.yaml")
BOOTSTRAP = templates.load("bootstrap.yaml")
EXAMPLES = ("small", "large")
#: Larger templates must be uploaded to a bucket before they can be deployed.
MAX_TEMPLATE_BYTES = 51_200
#: Actions that AWS allows only for every resource.
WITHOUT_RESOURCE = {
    "ecr:GetAuthorizationToken",
    "ecs:DeregisterTaskDefinition",
    "ecs:DescribeTaskDefinition",
    "ecs:RegisterTaskDefinition",
}


def resolved(example: str) -> dict[str, Any]:
    return templates.resolve(SERVICE, templates.example(example))


def container(template: dict[str, Any]) -> dict[str, Any]:
    [definition] = templates.of_type(template, "AWS::ECS::TaskDefinition").values()
    [only] = definition["ContainerDefinitions"]
    return only  # type: ignore[no-any-return]


def environment(template: dict[str, Any]) -> dict[str, Any]:
    return {each["Name"]: each["Value"] for each in container(template)["Environment"]}


def secrets(template: dict[str, Any]) -> dict[str, Any]:
    return {each["Name"]: each["ValueFrom"] for each in container(template)["Secrets"]}


def statements(template: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, role in templates.of_type(template, "AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            yield from ((name, each) for each in policy["PolicyDocument"]["Statement"])


def test_cfn_lint_finds_nothing() -> None:
    files = sorted(templates.FOLDER.glob("*.yaml"))
    program = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run([program, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["service.yaml", "bootstrap.yaml"])
def test_a_template_can_be_deployed_without_a_bucket(name: str) -> None:
    assert (templates.FOLDER / name).stat().st_size <= MAX_TEMPLATE_BYTES


def test_each_finding_of_the_rules_of_aws_is_accepted_at_its_resource_and_each_accepted_one_exists(
    tmp_path: Path,
) -> None:
    package = guard.unpack(tmp_path)
    variants = [resolved(each) for each in EXAMPLES]
    variants.append(templates.resolve(BOOTSTRAP, {"GitHubRepository": "shop/orderconfirm"}))
    found = {finding for each in variants for finding in guard.findings(package, each)}
    accepted = {
        (name, rule): reason
        for template in (SERVICE, BOOTSTRAP)
        for name, resource in template["Resources"].items()
        for rule, reason in resource.get("Metadata", {}).get("AcceptedFindings", {}).items()
    }
    assert found == set(accepted)
    assert all(reason.endswith(".") for reason in accepted.values())


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_sets_existing_parameters_to_allowed_values(example: str) -> None:
    given = templates.example(example)
    declared = SERVICE["Parameters"]
    assert set(given) <= set(declared)
    assert {name for name, each in declared.items() if "Default" not in each} <= set(given)
    for name, value in given.items():
        assert re.fullmatch(declared[name].get("AllowedPattern", ".*"), value), name
        assert value in map(str, declared[name].get("AllowedValues", [value])), name
        if declared[name]["Type"] == "Number":
            low, high = (declared[name].get(limit, int(value)) for limit in ("MinValue", "MaxValue"))
            assert low <= int(value) <= high, name
    assert not templates.broken_rules(SERVICE, given)


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({"VpcId": "vpc-1"}, "PublicSubnetIds"),
        ({"VpcId": "vpc-1", "PublicSubnetIds": "subnet-1,subnet-2"}, "PrivateSubnetIds"),
        ({"Cpu": "256", "Memory": "4096"}, "256 CPU"),
        ({"Cpu": "512", "Memory": "512"}, "512 CPU"),
        ({"Cpu": "1024", "Memory": "1024"}, "1024 CPU"),
        ({"Cpu": "2048", "Memory": "2048"}, "2048 CPU"),
        ({"Cpu": "4096", "Memory": "4096"}, "4096 CPU"),
    ],
)
def test_parameters_that_cannot_work_together_are_refused(changes: dict[str, str], broken: str) -> None:
    [message] = templates.broken_rules(SERVICE, templates.example("small") | changes)
    assert broken in message


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"MailServer": "smtp.shop.example", "MailtrapWebhook": "true"},
        {"DatabaseUrlArn": "arn:aws:ssm:::parameter/url"},
    ],
)
def test_every_variable_of_a_task_is_a_setting_or_one_of_libpq(changes: dict[str, str]) -> None:
    template = templates.resolve(SERVICE, templates.example("small") | changes)
    names = [*environment(template), *secrets(template)]
    assert len(names) == len(set(names))
    libpq = {"PGHOST", "PGUSER", "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT"}
    assert set(names) <= service.settings() | libpq


def test_the_secrets_of_the_bootstrap_stack_are_those_that_a_task_reads() -> None:
    [secret] = templates.of_type(BOOTSTRAP, "AWS::SecretsManager::Secret").values()
    generated = secret["GenerateSecretString"]
    keys = {*json.loads(generated["SecretStringTemplate"]), generated["GenerateStringKey"]}
    read = {
        name: value["Fn::Sub"] for name, value in secrets(resolved("small")).items() if "SecretArn" in value["Fn::Sub"]
    }
    assert read == {name: f"${{SecretArn}}:{name}::" for name in keys}


def test_images_are_scanned_and_keep_their_tags() -> None:
    [repository] = templates.of_type(BOOTSTRAP, "AWS::ECR::Repository").values()
    assert repository["ImageTagMutability"] == "IMMUTABLE"
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
    [kept, untagged] = json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert (kept["selection"]["countNumber"], untagged["selection"]["tagStatus"]) == (30, "untagged")


def test_a_task_stops_no_earlier_than_its_requests_and_mails_are_done() -> None:
    for example in EXAMPLES:
        template = resolved(example)
        assert container(template)["StopTimeout"] == environment(template)["STOP_TIMEOUT"] <= 120
    [group] = templates.of_type(resolved("small"), "AWS::ElasticLoadBalancingV2::TargetGroup").values()
    delay = {each["Key"]: each["Value"] for each in group["TargetGroupAttributes"]}
    limits = service.ROOT / "orderconfirm" / "limits.py"
    longest, keep_alive = (
        int(re.search(rf"^{name} = (\d+)", limits.read_text(), re.MULTILINE)[1])  # type: ignore[index]
        for name in ("MAX_WAIT_SECONDS", "KEEP_ALIVE_SECONDS")
    )
    [balancer] = templates.of_type(resolved("small"), "AWS::ElasticLoadBalancingV2::LoadBalancer").values()
    attributes = {each["Key"]: each["Value"] for each in balancer["LoadBalancerAttributes"]}
    assert int(delay["deregistration_delay.timeout_seconds"]) > longest
    assert longest < int(attributes["idle_timeout.timeout_seconds"]) < keep_alive


def test_health_is_checked_without_the_database_by_ecs_and_by_the_load_balancer() -> None:
    template = resolved("small")
    check = container(template)["HealthCheck"]
    assert check == {
        "Command": ["CMD", "python", "-IS", "/app/healthcheck.py"],
        "Interval": 10,
        "Timeout": 5,
        "Retries": 3,
        "StartPeriod": 60,
    }
    [group] = templates.of_type(template, "AWS::ElasticLoadBalancingV2::TargetGroup").values()
    assert (group["HealthCheckPath"], group["Port"]) == ("/livez", 8000)


def test_only_the_api_is_published() -> None:
    listeners = templates.of_type(SERVICE, "AWS::ElasticLoadBalancingV2::Listener").values()
    assert {each["Port"]: each["DefaultActions"][0]["Type"] for each in listeners} == {
        80: "redirect",
        443: "fixed-response",
    }
    [rule] = templates.of_type(SERVICE, "AWS::ElasticLoadBalancingV2::ListenerRule").values()
    assert rule["Conditions"] == [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/api/*"]}}]


def test_a_task_has_no_rights_and_writes_nowhere() -> None:
    assert "Policies" not in SERVICE["Resources"]["TaskRole"]["Properties"]
    task = container(resolved("small"))
    assert (task["User"], task["ReadonlyRootFilesystem"]) == ("10001:10001", True)
    assert task["LinuxParameters"] == {"Capabilities": {"Drop": ["ALL"]}}


def test_a_role_is_allowed_every_resource_only_where_aws_knows_no_other() -> None:
    for template in (SERVICE, BOOTSTRAP):
        for role, statement in statements(template):
            if "Fn::If" in statement:
                statement = statement["Fn::If"][1]
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert not any("*" in action for action in actions), role
            if statement["Resource"] == "*":
                assert set(actions) <= WITHOUT_RESOURCE, role


def test_the_execution_role_reads_exactly_the_secrets_of_the_task() -> None:
    for changes in ({}, {"DatabaseUrlArn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:url-AbCdEf"}):
        template = templates.resolve(SERVICE, templates.example("small") | changes)
        [allowed] = [
            each["Resource"]
            for role, each in statements(template)
            if role == "ExecutionRole" and each["Action"] == "secretsmanager:GetSecretValue"
        ]
        database = changes.get("DatabaseUrlArn", {"Ref": "DatabaseSecret"})
        assert allowed == [templates.example("small")["SecretArn"], database]
        # A new value of each starts a deployment.
        rule = template["Resources"]["SecretsRule"]["Properties"]["EventPattern"]
        assert rule["resources"] == allowed


def test_a_url_in_parameter_store_is_read_and_watched() -> None:
    arn = "arn:aws:ssm:eu-central-1:123456789012:parameter/orderconfirm/database-url"
    template = templates.resolve(SERVICE, templates.example("small") | {"DatabaseUrlArn": arn})
    assert secrets(template)["DATABASE_URL"] == arn
    assert {"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": arn} in [
        each for _, each in statements(template)
    ]
    assert template["Resources"]["ParameterRule"]["Properties"]["EventPattern"]["resources"] == [arn]
    assert not templates.of_type(template, "AWS::RDS::DBInstance")


def test_the_database_is_private_and_encrypted_and_verified() -> None:
    for example in EXAMPLES:
        [database] = templates.of_type(resolved(example), "AWS::RDS::DBInstance").values()
        assert (database["StorageEncrypted"], database["PubliclyAccessible"]) == (True, False)
        assert database["DeletionProtection"] and database["BackupRetentionPeriod"] >= 7
        assert environment(resolved(example))["PGSSLMODE"] == "verify-full"
    [parameters] = templates.of_type(SERVICE, "AWS::RDS::DBParameterGroup").values()
    assert parameters["Parameters"] == {"rds.force_ssl": "1"}
    group = SERVICE["Resources"]["DatabaseSecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert [each["SourceSecurityGroupId"] for each in group] == [{"Ref": "TaskSecurityGroup"}]


def test_a_failed_deployment_is_rolled_back_and_never_takes_a_task_away_first() -> None:
    [properties] = templates.of_type(SERVICE, "AWS::ECS::Service").values()
    assert properties["DeploymentConfiguration"] == {
        "MinimumHealthyPercent": 100,
        "MaximumPercent": 200,
        "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
    }
    assert "DesiredCount" not in properties
