"""What the CloudFormation template, the CDK app and the Terraform module must have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: An action and the AWS service whose resource it is allowed for; "*" for all resources.
Right = tuple[str, str]


@dataclass(frozen=True)
class Container:
    port: int
    user: str
    has_read_only_root: bool
    dropped_capabilities: tuple[str, ...]
    stop_timeout: int
    health_check: tuple[tuple[str, ...], int, int, int, int]
    log_driver: str
    log_mode: str
    log_stream_prefix: str
    #: Values, "" where AWS makes them.
    environment: Mapping[str, str]
    #: Keys of secrets in JSON, "" for whole secrets.
    secrets: Mapping[str, str]


@dataclass(frozen=True)
class TargetGroup:
    protocol: str
    port: int
    target_type: str
    health_check_path: str
    health_check_seconds: tuple[int, int]
    health_check_thresholds: tuple[int, int]
    deregistration_delay: int


@dataclass(frozen=True)
class Publication:
    """What the load balancer lets through."""

    idle_timeout: int
    drops_invalid_headers: bool
    is_protected: bool
    #: By port: the default action and the TLS policy.
    listeners: Mapping[int, tuple[str, str]]
    forwarded_paths: tuple[str, ...]


@dataclass(frozen=True)
class Tasks:
    cpu: int
    memory: int
    count: tuple[int, int]
    scaling: tuple[str, float, int, int]
    healthy_percent: tuple[int, int]
    rolls_back: bool
    grace_period: int
    has_public_address: bool
    outbound_ports: frozenset[tuple[int, int]]


@dataclass(frozen=True)
class Database:
    engine: str
    instance_class: str
    storage: tuple[int, int]
    is_multi_az: bool
    is_encrypted: bool
    is_public: bool
    is_protected: bool
    backup_days: int
    keeps_backups: bool
    forces_tls: bool
    name: str
    user: str


@dataclass(frozen=True)
class Metric:
    namespace: str
    name: str
    #: Values, "" where AWS makes them.
    dimensions: frozenset[tuple[str, str]]
    statistic: str
    period: int


@dataclass(frozen=True)
class Alarm:
    description: str
    #: By their name in the expression, "" without one.
    metrics: Mapping[str, Metric]
    expression: str
    comparison: str
    threshold: float
    periods: int
    missing_data: str


@dataclass(frozen=True)
class Repository:
    is_immutable: bool
    scans_on_push: bool
    kept_images: int
    untagged_days: int


@dataclass(frozen=True)
class Description:
    container: Container
    target_group: TargetGroup
    publication: Publication
    tasks: Tasks
    log_retention_days: int
    database: Database
    alarms: Mapping[str, Alarm]
    #: Metrics of each graph, by its title.
    dashboard: Mapping[str, frozenset[str]]
    #: Rights by role: execution, task, rule, redeployment.
    rights: Mapping[str, frozenset[Right]]
    #: The event that starts a new deployment.
    secrets_event: tuple[str, str, str]
    redeployment: Mapping[str, object]
    repository: Repository
