"""What a shop does over HTTP, and what it is answered."""

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
    def look() -> dict[str, Any] | None:
        told: dict[str, Any] = client.get(f"{URL}/{order_id}").get_json()
        return told if told["state"] in states else None

    found = wait_until(look)
    assert found is not None
    return found


def problem_of(answer: TestResponse) -> str:
    assert answer.content_type == "application/problem+json"
    told = answer.get_json()
    assert told["status"] == answer.status_code
    return str(told["type"].removeprefix("urn:orderconfirm:problem:"))
