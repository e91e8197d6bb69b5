"""The CloudFormation templates as the tests read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cfnlint.decode import decode

FOLDER = Path(__file__).parent.parent / "cloudformation"


def load(name: str) -> dict[str, Any]:
    """Return a template with its functions written out, as in {"Fn::Sub": "…"}."""
    template, errors = decode(str(FOLDER / name))
    assert not errors
    return template


def resources(template: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the properties of the resources of one type, by their name."""
    found = template["Resources"].items()
    return {name: each.get("Properties", {}) for name, each in found if each["Type"] == kind}
