"""The templates that the CDK app makes of its examples."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import aws_cdk as cdk
from app import add_stacks
from aws_cdk.assertions import Template

FOLDER = Path(__file__).parent.parent / "cdk"


@functools.cache
def synthesize(example: str) -> tuple[Template, Template]:
    """Return the templates of the two stacks of an example: bootstrap, service."""
    context = json.loads((FOLDER / "cdk.json").read_text(encoding="utf-8"))["context"]
    app = cdk.App(context=context | {"config": f"examples/{example}.json"})
    bootstrap, service = add_stacks(app)
    return Template.from_stack(bootstrap), Template.from_stack(service)
