"""Requests of a shop to the API, and their responses."""

from __future__ import annotations

from typing import Any

from factories import make_body
from flask.testing import FlaskClient
from processes import wait_until
from werkzeug.test import TestResponse

URL = "/api/order-confirmation"
LIST = "/api/order-confirmations"


def place(client: FlaskClient, order_id: str, headers: dict[str, str] | None = None, **changes: Any) -> TestResponse:
    return client.post(URL, json=make_body(order_id=order_id, **changes), headers=headers)


def wait_for(client: FlaskClient, order_id: str, *states: str) -> dict[str, Any]:
    """Return the order's status once its mail is in one of `states`."""

    def in_state() -> dict[str, Any] | None:
        body: dict[str, Any] = client.get(f"{URL}/{order_id}").get_json()
        return body if body["state"] in states else None

    mail = wait_until(in_state)
    assert mail is not None
    return mail


def problem_of(response: TestResponse) -> str:
    """Return the name of the response's problem type."""
    assert response.content_type == "application/problem+json"
    body = response.get_json()
    assert body["status"] == response.status_code
    return str(body["type"].removeprefix("urn:orderconfirm:problem:"))
