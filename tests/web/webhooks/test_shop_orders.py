"""Orders as shop platforms post them: signed, repeated, changed, unpaid, refused."""

from __future__ import annotations

import hmac
import json
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from conftest import relay_variables
from flask import Flask
from flask.testing import FlaskClient
from smtp_server import Sink
from werkzeug.test import TestResponse

from orderconfirm.models import State

HOOK = "/api/webhooks/orders/fjord"
SECRET = "0123456789abcdef0123456789abcdef"
FIXTURES = Path(__file__).parents[2] / "platforms" / "fixtures" / "woocommerce"

PROFILE = """
name = "Fjord & Field"
sender = "Fjord & Field <orders@fjord.example>"
locale = "de"
currency = "EUR"
timezone = "Europe/Oslo"
[webhook]
format = "woocommerce"
secret_file = "{secret_file}"
trigger = "created"
"""


@pytest.fixture
def client(sink: tuple[Sink, int], start_app: Callable[..., Flask], tmp_path: Path) -> FlaskClient:
    folder = tmp_path / "shops"
    folder.mkdir()
    (tmp_path / "secret").write_text(SECRET)
    (folder / "fjord.toml").write_text(PROFILE.format(secret_file=tmp_path / "secret"))
    return start_app(**relay_variables(sink[1], SHOPS_DIR=str(folder))).test_client()


def order(name: str = "simple", **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))["body"]
    return {**body, **changes}


def post(client: FlaskClient, body: Any, topic: str = "order.created", secret: str = SECRET) -> TestResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    signature = b64encode(hmac.digest(secret.encode(), raw, sha256)).decode()
    headers = {"X-WC-Webhook-Signature": signature, "X-WC-Webhook-Topic": topic}
    return client.post(HOOK, data=raw, headers=headers, content_type="application/json")


def receipt(client: FlaskClient, body: Any, topic: str = "order.created") -> dict[str, Any]:
    response = post(client, body, topic)
    assert response.status_code == 200
    result: dict[str, Any] = response.get_json()
    return result


def kept(client: FlaskClient) -> list[tuple[str, str | None]]:
    webhooks = client.application.extensions["orderconfirm"].shop_webhooks.kept.newest(None, (), 100)
    return [(each.outcome, each.order_id) for each in webhooks]


def entry(client: FlaskClient, order_id: str = "727") -> Any:
    return client.application.extensions["orderconfirm"].confirmations.status("fjord", order_id)


def wait_until_sent(client: FlaskClient, order_id: str = "727") -> Any:
    client.application.extensions["orderconfirm"].confirmations.outcome("fjord", order_id, 30)
    found = entry(client, order_id)
    assert found.state is State.SENT
    return found


def test_a_paid_order_becomes_a_mail(client: FlaskClient, sink: tuple[Sink, int]) -> None:
    assert receipt(client, order()) == {"outcome": "accepted", "reason": None, "order_id": "727"}
    assert wait_until_sent(client).message_id.endswith("@fjord.example>")
    assert kept(client) == []


def test_the_same_order_again_is_known(client: FlaskClient) -> None:
    receipt(client, order())
    assert receipt(client, order(), "order.updated")["outcome"] == "known"
    assert kept(client) == []


def test_an_unpaid_order_waits_and_disappears_from_the_list_once_it_is_paid(client: FlaskClient) -> None:
    unpaid = {"status": "pending", "date_paid_gmt": None}
    assert receipt(client, order(**unpaid))["outcome"] == "not_due"
    assert receipt(client, order(**unpaid))["outcome"] == "not_due"
    assert kept(client) == [("not_due", "727")]
    assert receipt(client, order(), "order.updated")["outcome"] == "accepted"
    assert kept(client) == []


def test_a_change_after_the_mail_is_recorded_and_used_by_a_resend(client: FlaskClient, sink: tuple[Sink, int]) -> None:
    receipt(client, order())
    wait_until_sent(client)
    changed = receipt(client, order(customer_note="Leave it at the door"), "order.updated")
    assert changed["outcome"] == "changed"
    assert "/notes" in changed["reason"]
    assert [event.event for event in entry(client).history][-1] == "changed"
    assert receipt(client, order(customer_note="Leave it at the door"), "order.updated")["outcome"] == "known"
    runtime = client.application.extensions["orderconfirm"]
    assert runtime.confirmations.stored_order("fjord", "727").notes == "Leave it at the door"
    assert len(sink[0].mails) == 1


def test_a_refused_order_is_kept_with_the_fields_and_replayed(client: FlaskClient) -> None:
    refused = receipt(client, order(billing={"first_name": "Ada", "email": ""}))
    assert refused["outcome"] == "refused"
    assert "/customer/email" in refused["reason"]
    assert kept(client) == [("refused", "727")]
    webhooks = client.application.extensions["orderconfirm"].shop_webhooks
    [found] = webhooks.kept.newest("fjord", ("refused",), 1)
    assert webhooks.replay(found).outcome == "refused"
    assert len(kept(client)) == 1


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b"\xff", b'{"id": NaN}', b"[" * 100_000])
def test_a_signed_body_that_is_no_order_gets_200_and_is_kept(client: FlaskClient, body: bytes) -> None:
    assert receipt(client, body)["outcome"] == "refused"
    assert len(kept(client)) == 1


def test_the_unsigned_ping_gets_200(client: FlaskClient) -> None:
    response = client.post(HOOK, data="webhook_id=4", content_type="application/x-www-form-urlencoded")
    assert response.status_code == 200
    assert response.get_json()["outcome"] == "ping"


def test_a_wrong_signature_gets_401_and_stores_nothing(client: FlaskClient, log: list[str]) -> None:
    assert post(client, order(), secret="another secret, long enough").status_code == 401
    assert client.post(HOOK, json=order()).status_code == 401
    assert kept(client) == []
    assert entry(client) is None
    assert "webhook of shop fjord without a valid signature" in log[0]


def test_a_shop_without_a_profile_has_no_webhook(client: FlaskClient) -> None:
    assert client.post("/api/webhooks/orders/nobody", json={}).status_code == 404


def test_erasing_an_order_erases_its_webhook(client: FlaskClient) -> None:
    receipt(client, order())
    wait_until_sent(client)
    receipt(client, order(customer_note="Leave it at the door"), "order.updated")
    assert kept(client) == [("changed", "727")]
    client.application.extensions["orderconfirm"].confirmations.erase("fjord", "727")
    assert kept(client) == []
