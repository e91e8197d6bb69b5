"""What the Terraform module describes: its state after `terraform test` has applied an example with mocks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from cloudformation_reader import graphs_of, lifecycle_of, rights_in, secret_key, state_of
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

#: The roles by the names of their resources. Those without a policy have no rights.
_ROLES = {"execution": "execution", "task": "task", "rule": "secrets", "redeployment": "redeployment"}


class State:
    """The resources in a state."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        self._resources = list(_resources(state["root_module"]))

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the values of all resources of a type, by name and key."""
        found = [each for each in self._resources if each["type"] == f"aws_{kind}" and each["mode"] == "managed"]
        return {f"{each['name']}.{each.get('index', '')}".strip("."): each["values"] for each in found}

    def one(self, kind: str) -> dict[str, Any]:
        [values] = self.all(kind).values()
        return values


def _resources(module: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from _resources(child)


def describe(state: State) -> Description:
    return Description(
        container=_container(json.loads(state.one("ecs_task_definition")["container_definitions"])),
        target_group=_target_group(state.one("lb_target_group")),
        publication=_publication(state),
        tasks=_tasks(state),
        log_retention_days=state.one("cloudwatch_log_group")["retention_in_days"],
        database=_database(state),
        alarms=dict(_alarm(each) for each in state.all("cloudwatch_metric_alarm").values()),
        dashboard=graphs_of(state.one("cloudwatch_dashboard")["dashboard_body"]),
        rights=_rights(state),
        secrets_event=_secrets_event(json.loads(state.one("cloudwatch_event_rule")["event_pattern"])),
        redeployment=state_of(json.loads(state.one("sfn_state_machine")["definition"])),
        repository=_repository(state),
    )


def _container(containers: list[dict[str, Any]]) -> Container:
    [container] = containers
    check, log = container["healthCheck"], container["logConfiguration"]
    times = (check[name] for name in ("interval", "timeout", "retries", "startPeriod"))
    environment = {each["name"]: each["value"] for each in container["environment"]}
    return Container(
        port=container["portMappings"][0]["containerPort"],
        user=container["user"],
        has_read_only_root=container["readonlyRootFilesystem"],
        dropped_capabilities=tuple(container["linuxParameters"]["capabilities"]["drop"]),
        stop_timeout=container["stopTimeout"],
        health_check=(tuple(check["command"]), *times),
        log_driver=log["logDriver"],
        log_mode=log["options"]["mode"],
        log_stream_prefix=log["options"]["awslogs-stream-prefix"],
        # The mock's address of the database is a word.
        environment=environment | {"PGHOST": ""},
        secrets={each["name"]: secret_key(each["valueFrom"]) for each in container["secrets"]},
    )


def _target_group(group: dict[str, Any]) -> TargetGroup:
    [check] = group["health_check"]
    return TargetGroup(
        protocol=group["protocol"],
        port=group["port"],
        target_type=group["target_type"],
        health_check_path=check["path"],
        health_check_seconds=(check["interval"], check["timeout"]),
        health_check_thresholds=(check["healthy_threshold"], check["unhealthy_threshold"]),
        deregistration_delay=int(group["deregistration_delay"]),
    )


def _publication(state: State) -> Publication:
    balancer, rule = state.one("lb"), state.one("lb_listener_rule")
    assert [each["type"] for each in rule["action"]] == ["forward"]
    [condition] = rule["condition"]
    [paths] = condition["path_pattern"]
    return Publication(
        idle_timeout=balancer["idle_timeout"],
        drops_invalid_headers=balancer["drop_invalid_header_fields"],
        is_protected=balancer["enable_deletion_protection"],
        listeners={
            each["port"]: (_default_action(*each["default_action"]), each["ssl_policy"] if each["port"] == 443 else "")
            for each in state.all("lb_listener").values()
        },
        forwarded_paths=tuple(paths["values"]),
    )


def _default_action(action: dict[str, Any]) -> str:
    if action["type"] == "redirect":
        [redirect] = action["redirect"]
        return " ".join(redirect[name] for name in ("status_code", "protocol", "port"))
    [response] = action["fixed_response"]
    return f"{response['status_code']} {response['content_type']}"


def _tasks(state: State) -> Tasks:
    definition, tasks = state.one("ecs_task_definition"), state.one("ecs_service")
    [breaker], [network] = tasks["deployment_circuit_breaker"], tasks["network_configuration"]
    target = state.one("appautoscaling_target")
    [policy] = state.one("appautoscaling_policy")["target_tracking_scaling_policy_configuration"]
    [metric] = policy["predefined_metric_specification"]
    rules = state.all("security_group_rule").items()
    return Tasks(
        cpu=int(definition["cpu"]),
        memory=int(definition["memory"]),
        count=(target["min_capacity"], target["max_capacity"]),
        scaling=(
            metric["predefined_metric_type"],
            policy["target_value"],
            policy["scale_out_cooldown"],
            policy["scale_in_cooldown"],
        ),
        healthy_percent=(tasks["deployment_minimum_healthy_percent"], tasks["deployment_maximum_percent"]),
        rolls_back=breaker["enable"] and breaker["rollback"],
        grace_period=tasks["health_check_grace_period_seconds"],
        has_public_address=network["assign_public_ip"],
        outbound_ports=frozenset(
            (rule["from_port"], rule["to_port"]) for name, rule in rules if name.startswith("egress_tasks")
        ),
    )


def _database(state: State) -> Database:
    database = state.one("db_instance")
    parameters = {each["name"]: each["value"] for each in state.one("db_parameter_group")["parameter"]}
    return Database(
        engine=f"{database['engine']} {database['engine_version']}",
        instance_class=database["instance_class"],
        storage=(database["allocated_storage"], database["max_allocated_storage"]),
        is_multi_az=database["multi_az"],
        is_encrypted=database["storage_encrypted"],
        is_public=database["publicly_accessible"],
        is_protected=database["deletion_protection"],
        backup_days=database["backup_retention_period"],
        keeps_backups=not database["delete_automated_backups"],
        forces_tls=parameters == {"rds.force_ssl": "1"},
        name=database["name"],
        user=database["username"],
    )


def _alarm(alarm: dict[str, Any]) -> tuple[str, Alarm]:
    assert len(alarm["alarm_actions"]) == len(alarm["ok_actions"]) == 1
    queries = alarm["metric_query"]
    metrics = {each["id"]: each["metric"][0] for each in queries if each["metric"]}
    return alarm["alarm_name"], Alarm(
        description=alarm["alarm_description"],
        metrics={name: _metric(each, each["stat"]) for name, each in metrics.items()}
        or {"": _metric(alarm, alarm["statistic"] or alarm["extended_statistic"])},
        expression="".join(each["expression"] or "" for each in queries),
        comparison=alarm["comparison_operator"],
        threshold=alarm["threshold"],
        periods=alarm["evaluation_periods"],
        missing_data=alarm["treat_missing_data"],
    )


def _metric(metric: dict[str, Any], statistic: str) -> Metric:
    made = "" if metric["namespace"].startswith("AWS/") else None
    dimensions = frozenset((name, value if made is None else made) for name, value in metric["dimensions"].items())
    return Metric(metric["namespace"], metric["metric_name"], dimensions, statistic, metric["period"])


def _rights(state: State) -> dict[str, frozenset[Right]]:
    policies = {name: json.loads(each["policy"]) for name, each in state.all("iam_role_policy").items()}
    assert state.all("iam_role").keys() == set(_ROLES.values())
    return {role: frozenset(_rights_in(policies.get(name))) for role, name in _ROLES.items()}


def _rights_in(policy: Mapping[str, Any] | None) -> Iterable[Right]:
    for statement in policy["Statement"] if policy else ():
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        services = (each.split(":")[2] if each.startswith("arn:") else each for each in resources)
        yield from rights_in(statement["Action"], services)


def _secrets_event(pattern: dict[str, Any]) -> tuple[str, str, str]:
    [source], [kind], [label] = pattern["source"], pattern["detail-type"], pattern["detail"]["labelUpdated"]
    return source, kind, label


def _repository(state: State) -> Repository:
    repository = state.one("ecr_repository")
    [scanning] = repository["image_scanning_configuration"]
    return Repository(
        is_immutable=repository["image_tag_mutability"] == "IMMUTABLE",
        scans_on_push=scanning["scan_on_push"],
        **lifecycle_of(state.one("ecr_lifecycle_policy")["policy"]),
    )
