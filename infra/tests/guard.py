"""AWS's own rules for CloudFormation templates (Control Tower), checked by cfn-guard."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

#: The exit code when a template breaks a rule.
BROKEN = 19


def unpack(folder: Path) -> Path:
    """Unpack cfn-guard and its rules. They come in a package for CDK, for Linux and macOS on both processors."""
    files = distribution("cdklabs-cdk-validator-cfnguard").files or []
    [archive] = [each for each in files if each.suffix == ".tgz"]
    subprocess.run(["tar", "-xzf", archive.locate(), "-C", folder], check=True)
    return folder / "package"


def findings(package: Path, template: dict[str, Any]) -> set[tuple[str, str]]:
    """Return the resource and the rule, like CT.RDS.PR.1, of everything in a template that breaks a rule."""
    system = {"Linux": "ubuntu", "Darwin": "macos"}[platform.system()]
    processor = {"x86_64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}[platform.machine()]
    program = package / "bin" / system / processor / "cfn-guard"
    rules = package / "rules" / "control-tower" / "cfn-guard"
    options = ("--structured", "--show-summary", "none", "--output-format", "json")
    done = subprocess.run(
        [program, "validate", *options, "--rules", rules], input=json.dumps(template), capture_output=True, text=True
    )
    assert done.returncode in (0, BROKEN), done.stderr
    return {
        (resource, rule)
        for report in json.loads(done.stdout)
        for each in map(json.dumps, report["not_compliant"])
        for rule in re.findall(r"\[(CT\.[\w.]+)\]", each)
        for resource in re.findall(r"/Resources/(\w+)", each)
    }
