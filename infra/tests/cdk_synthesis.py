"""The templates that the CDK app makes of its examples."""

from __future__ import annotations

import functools
import json
import os
import sys
from pathlib import Path

# Read when the first construct starts Node.js.
os.environ["JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION"] = "1"

import aws_cdk as cdk
from aws_cdk.assertions import Template

FOLDER = Path(__file__).parent.parent / "cdk"
sys.path.append(str(FOLDER))

from app import add_stacks


@functools.cache
def synthesize(example: str) -> tuple[Template, Template]:
    """Return the templates of the two stacks of an example: bootstrap, service."""
    context = json.loads((FOLDER / "cdk.json").read_text(encoding="utf-8"))["context"]
    app = cdk.App(context=context | {"config": f"examples/{example}.json"})
    bootstrap, service = add_stacks(app)
    return Template.from_stack(bootstrap), Template.from_stack(service)
