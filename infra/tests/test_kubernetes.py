"""The Kubernetes manifest: valid in the oldest version that it names and in the newest, in line with the service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "infra/kubernetes/orderconfirm.yaml").read_text(encoding="utf-8")
DOCUMENTS = list(yaml.safe_load_all(TEXT))
OLDEST = re.findall(r"Kubernetes (1\.\d+) or later", TEXT)[0]


def document(kind: str) -> dict[str, Any]:
    [found] = [each for each in DOCUMENTS if each["kind"] == kind]
    return found  # type: ignore[no-any-return]


POD = document("Deployment")["spec"]["template"]["spec"]
[CONTAINER] = POD["containers"]


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("kind", [each["kind"] for each in DOCUMENTS])
def test_the_document_is_valid_by_the_schema(kind: str, version: str) -> None:
    kubernetes_validate.validate(document(kind), version, strict=True)


def test_a_pod_has_the_time_that_the_service_needs_to_stop() -> None:
    pause = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]
    stop_timeout = int(document("ConfigMap")["data"]["STOP_TIMEOUT"])
    assert POD["terminationGracePeriodSeconds"] == pause + stop_timeout


def test_the_configuration_has_settings_of_the_service_and_no_secret() -> None:
    settings = set(re.findall(r"^# ([A-Z_]+)=", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE))
    assert set(document("ConfigMap")["data"]) <= settings
    assert document("ConfigMap")["data"].keys().isdisjoint({"API_KEYS", "DATABASE_URL", "MAILTRAP_API_TOKEN"})
    assert CONTAINER["envFrom"] == [
        {"configMapRef": {"name": document("ConfigMap")["metadata"]["name"]}},
        {"secretRef": {"name": "orderconfirm"}},
    ]


def test_all_documents_select_the_pods_of_the_deployment() -> None:
    labels = document("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert document("Deployment")["spec"]["selector"]["matchLabels"] == labels
    assert document("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert document("Service")["spec"]["selector"] == labels


def test_only_readiness_depends_on_the_database() -> None:
    paths = {name: CONTAINER[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}


def test_only_the_api_is_public() -> None:
    [rule] = document("Ingress")["spec"]["rules"]
    assert [path["path"] for path in rule["http"]["paths"]] == ["/api"]
    assert rule["host"] in document("Ingress")["spec"]["tls"][0]["hosts"]


def test_the_pod_meets_the_restricted_security_standard_as_the_user_of_the_image() -> None:
    user, group = re.findall(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)[-1]
    assert POD["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": int(user),
        "runAsGroup": int(group),
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
