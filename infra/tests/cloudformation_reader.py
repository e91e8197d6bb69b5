"""What a CloudFormation template describes, be it written by hand or by CDK."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from descriptions import (
    Alarm,
    Container,
    Database,
    Description,
    Metric,
    Publication,
    Repository,
    Right,
    TargetGroup,
    Tasks,
)

_PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::StackName": "orderconfirm",
    "AWS::URLSuffix": "amazonaws.com",
}
_REFERENCE = re.compile(r"\$\{(\w+)\}")


class Template:
    """A template without conditions. What AWS makes is the name of the resource that has it, like `${Logs}`."""

    def __init__(
        self,
        template: Mapping[str, Any],
        parameters: Mapping[str, str] = MappingProxyType({}),
        exporting: Template | None = None,
    ) -> None:
        """`parameters` are those with a value, and `exporting` is the stack whose exports are imported."""
        self._known = _PSEUDO | parameters
        self._outputs = template.get("Outputs", {}).values()
        self._exporting = exporting
        resources = template["Resources"].items()
        self.types = (exporting.types if exporting else {}) | {name: each["Type"] for name, each in resources}
        self._properties = {name: self._value(each.get("Properties", {})) for name, each in resources}

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the properties of all resources of a type, by their names."""
        return {name: each for name, each in self._properties.items() if self.types[name] == f"AWS::{kind}"}

    def one(self, kind: str) -> dict[str, Any]:
        [properties] = self.all(kind).values()
        return properties

    def service_of(self, resource: str) -> str:
        """Return the AWS service of a resource, as in its ARN."""
        if reference := _REFERENCE.match(resource):
            service = self.types[reference[1]].split("::")[1].lower()
            return {"stepfunctions": "states"}.get(service, service)
        return resource.split(":")[2] if resource.startswith("arn:") else resource

    def exported(self, name: str) -> Any:
        [value] = [each["Value"] for each in self._outputs if each.get("Export", {}).get("Name") == name]
        return self._value(value)

    def _value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self._value(each) for each in node]
        if not isinstance(node, dict):
            return node
        match list(node.items()):
            case [("Ref", name)]:
                return self._known.get(name, f"${{{name}}}")
            case [("Fn::GetAtt", [name, _])]:
                return f"${{{name}}}"
            case [("Fn::Sub", [text, variables])]:
                return self._substituted(text, self._value(variables))
            case [("Fn::Sub", text)]:
                return self._substituted(text, {})
            case [("Fn::Join", [separator, parts])]:
                return separator.join(self._value(parts))
            case [("Fn::Split", [separator, text])]:
                return self._value(text).split(separator)
            case [("Fn::Select", [index, parts])]:
                # A part of a reference is the reference.
                values = self._value(parts)
                return values[int(index)] if int(index) < len(values) else values[0]
            case [("Fn::ImportValue", name)]:
                assert self._exporting
                return self._exporting.exported(name)
            case [("Fn::GetAZs", _)]:
                return ["eu-central-1a", "eu-central-1b"]
        return {key: self._value(each) for key, each in node.items()}

    def _substituted(self, text: str, variables: Mapping[str, Any]) -> str:
        known = self._known | variables
        return re.sub(r"\$\{([\w:]+)[\w.]*\}", lambda found: str(known.get(found[1], f"${{{found[1]}}}")), text)


def describe(bootstrap: Template, service: Template) -> Description:
    definition = service.one("ECS::TaskDefinition")
    return Description(
        container=_container(definition["ContainerDefinitions"]),
        target_group=_target_group(service.one("ElasticLoadBalancingV2::TargetGroup")),
        publication=_publication(service),
        tasks=_tasks(service, definition),
        log_retention_days=int(service.one("Logs::LogGroup")["RetentionInDays"]),
        database=_database(service),
        alarms=dict(_alarm(each) for each in service.all("CloudWatch::Alarm").values()),
        dashboard=graphs_of(service.one("CloudWatch::Dashboard")["DashboardBody"]),
        rights=_rights(service, definition),
        secrets_event=_secrets_event(service.one("Events::Rule")["EventPattern"]),
        redeployment=_redeployment(service.one("StepFunctions::StateMachine")),
        repository=_repository(bootstrap.one("ECR::Repository")),
    )


def _text(value: Any) -> str:
    """Return a value as CloudFormation passes it on, or "" if AWS makes it."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return "" if _REFERENCE.search(text) else text


def _container(containers: list[dict[str, Any]]) -> Container:
    [container] = containers
    check, log = container["HealthCheck"], container["LogConfiguration"]
    times = (check[name] for name in ("Interval", "Timeout", "Retries", "StartPeriod"))
    return Container(
        port=container["PortMappings"][0]["ContainerPort"],
        user=container["User"],
        has_read_only_root=container["ReadonlyRootFilesystem"],
        dropped_capabilities=tuple(container["LinuxParameters"]["Capabilities"]["Drop"]),
        stop_timeout=int(container["StopTimeout"]),
        health_check=(tuple(check["Command"]), *times),
        log_driver=log["LogDriver"],
        log_mode=log["Options"]["mode"],
        log_stream_prefix=log["Options"]["awslogs-stream-prefix"],
        environment={each["Name"]: _text(each["Value"]) for each in container["Environment"]},
        secrets={each["Name"]: secret_key(each["ValueFrom"]) for each in container["Secrets"]},
    )


def secret_key(value_from: str) -> str:
    """Return the key in "arn:…:KEY::", or "" for a whole secret."""
    found = re.search(r":(\w+)::$", value_from)
    return found[1] if found else ""


def _attributes(pairs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {each["Key"]: _text(each["Value"]) for each in pairs}


def _target_group(group: dict[str, Any]) -> TargetGroup:
    return TargetGroup(
        protocol=group["Protocol"],
        port=group["Port"],
        target_type=group["TargetType"],
        health_check_path=group["HealthCheckPath"],
        health_check_seconds=(group["HealthCheckIntervalSeconds"], group["HealthCheckTimeoutSeconds"]),
        health_check_thresholds=(group["HealthyThresholdCount"], group["UnhealthyThresholdCount"]),
        deregistration_delay=int(_attributes(group["TargetGroupAttributes"])["deregistration_delay.timeout_seconds"]),
    )


def _publication(service: Template) -> Publication:
    attributes = _attributes(service.one("ElasticLoadBalancingV2::LoadBalancer")["LoadBalancerAttributes"])
    rule = service.one("ElasticLoadBalancingV2::ListenerRule")
    assert [each["Type"] for each in rule["Actions"]] == ["forward"]
    [condition] = rule["Conditions"]
    return Publication(
        idle_timeout=int(attributes["idle_timeout.timeout_seconds"]),
        drops_invalid_headers=attributes["routing.http.drop_invalid_header_fields.enabled"] == "true",
        is_protected=attributes["deletion_protection.enabled"] == "true",
        listeners={
            each["Port"]: (_default_action(*each["DefaultActions"]), each.get("SslPolicy", ""))
            for each in service.all("ElasticLoadBalancingV2::Listener").values()
        },
        forwarded_paths=tuple(condition["PathPatternConfig"]["Values"]),
    )


def _default_action(action: dict[str, Any]) -> str:
    if action["Type"] == "redirect":
        return " ".join(action["RedirectConfig"][name] for name in ("StatusCode", "Protocol", "Port"))
    response = action["FixedResponseConfig"]
    return f"{response['StatusCode']} {response['ContentType']}"


def _tasks(service: Template, definition: dict[str, Any]) -> Tasks:
    tasks = service.one("ECS::Service")
    deployment, network = tasks["DeploymentConfiguration"], tasks["NetworkConfiguration"]["AwsvpcConfiguration"]
    target = service.one("ApplicationAutoScaling::ScalableTarget")
    policy = service.one("ApplicationAutoScaling::ScalingPolicy")["TargetTrackingScalingPolicyConfiguration"]
    [group] = network["SecurityGroups"]
    return Tasks(
        cpu=int(definition["Cpu"]),
        memory=int(definition["Memory"]),
        count=(int(target["MinCapacity"]), int(target["MaxCapacity"])),
        scaling=(
            policy["PredefinedMetricSpecification"]["PredefinedMetricType"],
            policy["TargetValue"],
            policy["ScaleOutCooldown"],
            policy["ScaleInCooldown"],
        ),
        healthy_percent=(deployment["MinimumHealthyPercent"], deployment["MaximumPercent"]),
        rolls_back=deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True},
        grace_period=tasks["HealthCheckGracePeriodSeconds"],
        has_public_address=network["AssignPublicIp"] == "ENABLED",
        outbound_ports=frozenset(
            (int(each["FromPort"]), int(each["ToPort"]))
            for name, properties in service.all("EC2::SecurityGroup").items()
            if name in group
            for each in properties["SecurityGroupEgress"]
        ),
    )


def _database(service: Template) -> Database:
    database = service.one("RDS::DBInstance")
    return Database(
        engine=f"{database['Engine']} {database['EngineVersion']}",
        instance_class=database["DBInstanceClass"],
        storage=(int(database["AllocatedStorage"]), int(database["MaxAllocatedStorage"])),
        is_multi_az=database["MultiAZ"],
        is_encrypted=database["StorageEncrypted"],
        is_public=database["PubliclyAccessible"],
        is_protected=database["DeletionProtection"],
        backup_days=int(database["BackupRetentionPeriod"]),
        keeps_backups=not database["DeleteAutomatedBackups"],
        forces_tls=service.one("RDS::DBParameterGroup")["Parameters"] == {"rds.force_ssl": "1"},
        name=database["DBName"],
        user=database["MasterUsername"],
    )


def _alarm(alarm: dict[str, Any]) -> tuple[str, Alarm]:
    assert len(alarm["AlarmActions"]) == len(alarm["OKActions"]) == 1
    queries = alarm.get("Metrics", [])
    metrics = {each["Id"]: each["MetricStat"] for each in queries if "MetricStat" in each}
    return alarm["AlarmName"], Alarm(
        description=" ".join(alarm["AlarmDescription"].split()),
        metrics={name: _metric(each["Metric"], each["Stat"], each["Period"]) for name, each in metrics.items()}
        or {"": _metric(alarm, alarm.get("Statistic") or alarm["ExtendedStatistic"], alarm["Period"])},
        expression=" ".join("".join(each.get("Expression", "") for each in queries).split()),
        comparison=alarm["ComparisonOperator"],
        threshold=float(alarm["Threshold"]),
        periods=int(alarm["EvaluationPeriods"]),
        missing_data=alarm["TreatMissingData"],
    )


def _metric(metric: dict[str, Any], statistic: str, period: int) -> Metric:
    dimensions = frozenset((each["Name"], _text(each["Value"])) for each in metric["Dimensions"])
    return Metric(metric["Namespace"], metric["MetricName"], dimensions, statistic, period)


def graphs_of(body: str) -> dict[str, frozenset[str]]:
    """Return the metrics of each graph: their names, and of the service's own the value of their label."""
    return {
        widget["properties"]["title"]: frozenset(_names_in(widget["properties"]["metrics"]))
        for widget in json.loads(body)["widgets"]
    }


def _names_in(rows: list[list[Any]]) -> Iterable[str]:
    before: list[str] = []
    for row in rows:
        texts = [each for each in row if isinstance(each, str)]
        if texts[0] == "...":
            texts = [*before[: 1 - len(texts)], *texts[1:]]
        before = [before[i] if text == "." else text for i, text in enumerate(texts)]
        labels = dict(zip(before[2::2], before[3::2], strict=True))
        own = [value for label, value in labels.items() if label in ("delivery", "outcome", "state")]
        yield " ".join([*before[:2], *own])


def _rights(service: Template, definition: dict[str, Any]) -> dict[str, frozenset[Right]]:
    [target] = service.one("Events::Rule")["Targets"]
    roles = {
        "execution": definition["ExecutionRoleArn"],
        "task": definition["TaskRoleArn"],
        "rule": target["RoleArn"],
        "redeployment": service.one("StepFunctions::StateMachine")["RoleArn"],
    }
    return {name: frozenset(_rights_of(service, role)) for name, role in roles.items()}


def _rights_of(service: Template, role: str) -> Iterable[Right]:
    """Yield the rights in the policies of a role, and in those that name it."""
    own = service.all("IAM::Role")[role.strip("${}")].get("Policies", [])
    for policy in [*own, *(each for each in service.all("IAM::Policy").values() if role in each["Roles"])]:
        for statement in policy["PolicyDocument"]["Statement"]:
            yield from rights_in(statement["Action"], map(service.service_of, _listed(statement["Resource"])))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def rights_in(actions: str | list[str], services: Iterable[str]) -> Iterable[Right]:
    services = list(services)
    yield from ((action, service) for action in _listed(actions) for service in services)


def _secrets_event(pattern: dict[str, Any]) -> tuple[str, str, str]:
    [source], [kind], [label] = pattern["source"], pattern["detail-type"], pattern["detail"]["labelUpdated"]
    return source, kind, label


def _redeployment(machine: dict[str, Any]) -> dict[str, object]:
    """Return the machine's only state without the names of the service."""
    definition = machine.get("Definition") or json.loads(machine["DefinitionString"])
    return state_of(definition)


def state_of(definition: dict[str, Any]) -> dict[str, object]:
    [state] = definition["States"].values()
    assert {"Cluster", "Service"} < state["Parameters"].keys()
    return state | {"Parameters": {"ForceNewDeployment": state["Parameters"]["ForceNewDeployment"]}}


def _repository(repository: dict[str, Any]) -> Repository:
    return Repository(
        is_immutable=repository["ImageTagMutability"] == "IMMUTABLE",
        scans_on_push=repository["ImageScanningConfiguration"]["ScanOnPush"],
        **lifecycle_of(repository["LifecyclePolicy"]["LifecyclePolicyText"]),
    )


def lifecycle_of(text: str) -> dict[str, int]:
    """Return how many tagged images are kept, and for how many days others."""
    rules = [rule["selection"] for rule in json.loads(text)["rules"]]
    counts = {rule["tagStatus"]: rule["countNumber"] for rule in rules}
    return {"kept_images": counts["tagged"], "untagged_days": counts["untagged"]}
