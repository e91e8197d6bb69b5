"""Loaded by schemathesis: what it sends to a webhook is signed, unless it is meant to be bad."""

from __future__ import annotations

import hmac
import json
import os
from base64 import b64encode
from hashlib import sha256
from typing import Any

import requests
import schemathesis


@schemathesis.hook
def before_call(_: Any, case: Any, kwargs: dict[str, Any]) -> None:
    if not case.meta.generation.mode.is_positive:
        return
    if case.operation.path.endswith("/webhooks/mailtrap"):
        kwargs["auth"] = _sign_as_mailtrap
    if "/webhooks/orders/" in case.operation.path:
        case.path_parameters["shop"] = "shop"
        kwargs["auth"] = _sign_as_woocommerce


@schemathesis.serializer("application/jsonlines")
def write_lines(_: Any, value: Any) -> bytes:
    lines = value if isinstance(value, list) else [value]
    return "\n".join(json.dumps(line) for line in lines).encode()


def _sign_as_mailtrap(request: requests.PreparedRequest) -> requests.PreparedRequest:
    request.headers["Mailtrap-Signature"] = _mac(request).hex()
    return request


def _sign_as_woocommerce(request: requests.PreparedRequest) -> requests.PreparedRequest:
    request.headers["X-WC-Webhook-Topic"] = "order.created"
    request.headers["X-WC-Webhook-Signature"] = b64encode(_mac(request)).decode()
    return request


def _mac(request: requests.PreparedRequest) -> bytes:
    body = request.body or b""
    raw = body.encode() if isinstance(body, str) else body
    return hmac.digest(os.environ["WEBHOOK_SECRET"].encode(), raw, sha256)
