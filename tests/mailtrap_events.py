"""Events of sent mails as Mailtrap posts them, for the tests of its webhook."""

from __future__ import annotations

import hmac
import json
from hashlib import sha256
from typing import Any

from callers import place, wait_for
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from orderconfirm.models import State
from orderconfirm.outbox.admin import OutboxAdmin

HOOK = "/api/webhooks/mailtrap"
SECRET = "0123456789abcdef0123456789abcdef"


def send(client: FlaskClient, body: bytes, signature: str | None = None) -> TestResponse:
    signed = hmac.new(SECRET.encode(), body, sha256).hexdigest() if signature is None else signature
    return client.post(HOOK, data=body, headers={"Mailtrap-Signature": signed}, content_type="application/json")


def event(kind: str, number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "event": kind,
        "event_id": f"event-{number}",
        "message_id": "00000000-1111-2222-3333-444444444444",
        "email": "john.doe@example.com",
        "timestamp": 1742049000 + number,
        "custom_variables": {"order_id": "ORD-12345", "shop": "default"},
        **changes,
    }


def admin_of(client: FlaskClient) -> OutboxAdmin:
    admin: OutboxAdmin = client.application.extensions["orderconfirm"].confirmations._admin
    return admin


def retry_all(client: FlaskClient) -> int:
    return sum(client.application.extensions["orderconfirm"].confirmations.retry_all("default", State.RETRYABLE))


def receipt(received: int, new: int | None = None) -> dict[str, int]:
    """The response to readable events; without `new`, all of them are new."""
    return {"received": received, "new": received if new is None else new, "unreadable": 0}


def report(client: FlaskClient, *events: dict[str, Any]) -> dict[str, Any]:
    answer = send(client, json.dumps({"events": events}).encode())
    assert answer.status_code == 200
    found: dict[str, Any] = answer.get_json()
    return found


def sent(client: FlaskClient, order_id: str = "ORD-12345") -> dict[str, Any]:
    place(client, order_id)
    return wait_for(client, order_id, "sent")
