"""The templates that the CDK app makes of its examples."""

from __future__ import annotations

import functools
import json
import os
import runpy
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

FOLDER = Path(__file__).parent.parent / "cdk"


@functools.cache
def synthesize(example: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the app as the CDK command does, and return the templates of its two stacks: bootstrap, service."""
    context = json.loads((FOLDER / "cdk.json").read_text(encoding="utf-8"))["context"]
    context["config"] = f"examples/{example}.json"
    with tempfile.TemporaryDirectory() as folder:
        environ = {
            "CDK_CONTEXT_JSON": json.dumps(context),
            "CDK_OUTDIR": folder,
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1",
        }
        with mock.patch.dict(os.environ, environ), mock.patch.object(sys, "path", [str(FOLDER), *sys.path]):
            runpy.run_path(str(FOLDER / "app.py"))
        bootstrap, service = (
            json.loads((Path(folder) / f"{name}.template.json").read_text(encoding="utf-8"))
            for name in ("orderconfirm-bootstrap", "orderconfirm")
        )
    return bootstrap, service
