"""Loaded by schemathesis: what it sends to the webhook is signed as Mailtrap would, unless it is meant to be bad."""

from __future__ import annotations

import hmac
import json
import os
from hashlib import sha256
from typing import Any

import requests
import schemathesis


@schemathesis.hook
def before_call(_: Any, case: Any, kwargs: dict[str, Any]) -> None:
    if case.operation.path.endswith("/webhooks/mailtrap") and case.meta.generation.mode.is_positive:
        kwargs["auth"] = _sign


@schemathesis.serializer("application/jsonlines")
def write_lines(_: Any, value: Any) -> bytes:
    lines = value if isinstance(value, list) else [value]
    return "\n".join(json.dumps(line) for line in lines).encode()


def _sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
    body = request.body or b""
    secret = os.environ["WEBHOOK_SECRET"].encode()
    raw = body.encode() if isinstance(body, str) else body
    request.headers["Mailtrap-Signature"] = hmac.new(secret, raw, sha256).hexdigest()
    return request
