"""A local stand-in for AWS (ministack), and what it cannot do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import boto3

#: Types that it does not know.
UNKNOWN_TYPES = (
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::IAM::OIDCProvider",
    "AWS::RDS::DBParameterGroup",
    "AWS::RDS::DBSubnetGroup",
)
STARTUP_SECONDS = 60


@contextmanager
def running(log: Path) -> Iterator[boto3.Session]:
    """Yield a session whose clients talk to a stand-in that runs meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    # Nothing here must ever reach a real account.
    os.environ |= {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
    os.environ.pop("AWS_PROFILE", None)
    program = Path(sys.executable).with_name("ministack")
    with log.open("w") as output:
        environment = os.environ | {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)}
        process = subprocess.Popen([program], env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_for(f"{url}/_ministack/health", process)
        yield boto3.Session(region_name="eu-central-1")
    finally:
        process.terminate()
        process.wait(STARTUP_SECONDS)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + STARTUP_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=STARTUP_SECONDS):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.1)


def stripped(template: dict[str, Any]) -> dict[str, Any]:
    """Return what the stand-in can make of a template. Other tests look at what is missing here."""
    template = deepcopy(template)
    template.pop("Rules", None)
    resources = template["Resources"]
    for name, resource in list(resources.items()):
        properties = resource.get("Properties", {})
        if resource["Type"] in UNKNOWN_TYPES:
            del resources[name]
        # Of alarms, it knows only those of a single metric.
        elif resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in properties:
            del resources[name]
        elif resource["Type"] == "AWS::RDS::DBInstance":
            del properties["DBParameterGroupName"], properties["DBSubnetGroupName"]
        # Step Functions' parameters begin with a capital, those of ECS do not, and the stand-in does not translate.
        elif resource["Type"] == "AWS::StepFunctions::StateMachine":
            for state in properties["Definition"]["States"].values():
                state["Parameters"] = {name[0].lower() + name[1:]: each for name, each in state["Parameters"].items()}
    return template
