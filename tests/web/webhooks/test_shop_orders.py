"""Orders as shop platforms post them: signed, repeated, changed, unpaid, refused."""

from __future__ import annotations

import hmac
import json
import random
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as default_policy
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

OTHER_SECRET = "fedcba9876543210fedcba9876543210"
OTHER_PROFILE = """
name = "Tarn Tools"
sender = "orders@tarn.example"
brand_color = "#7a1f1f"
[webhook]
format = "shopify"
secret_file = ["{secret_file}", "{other_secret_file}"]
trigger = "paid"
"""
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
    (tmp_path / "other").write_text(OTHER_SECRET)
    files = {"secret_file": tmp_path / "secret", "other_secret_file": tmp_path / "other"}
    (folder / "fjord.toml").write_text(PROFILE.format(**files))
    (folder / "tarn.toml").write_text(OTHER_PROFILE.format(**files))
    return start_app(**relay_variables(sink[1], SHOPS_DIR=str(folder))).test_client()


def parsed(mail: bytes) -> EmailMessage:
    message = message_from_bytes(mail, policy=default_policy)
    assert isinstance(message, EmailMessage)
    return message


def html(mail: EmailMessage) -> str:
    part = mail.get_body(("html",))
    assert part is not None
    return str(part.get_content())


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


def shopify(name: str = "simple", **changes: Any) -> dict[str, Any]:
    path = FIXTURES.parent / "shopify" / f"{name}.json"
    body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["body"]
    return {**body, **changes}


def post_to_tarn(client: FlaskClient, body: Any, secret: str = OTHER_SECRET) -> TestResponse:
    raw = json.dumps(body).encode()
    signature = b64encode(hmac.digest(secret.encode(), raw, sha256)).decode()
    headers = {"X-Shopify-Hmac-Sha256": signature, "X-Shopify-Topic": "orders/create"}
    return client.post(HOOK.replace("fjord", "tarn"), data=raw, headers=headers, content_type="application/json")


def test_two_shops_have_their_own_sender_brand_language_and_orders(client: FlaskClient, sink: tuple[Sink, int]) -> None:
    receipt(client, order(id=5678901234567))
    assert post_to_tarn(client, shopify()).get_json()["outcome"] == "accepted"
    mails = {str(mail["From"].addresses[0]): mail for mail in map(parsed, sink[0].wait_for(2))}
    assert set(mails) == {"Fjord & Field <orders@fjord.example>", "Tarn Tools <orders@tarn.example>"}
    fjord, tarn = (mails[name] for name in sorted(mails))
    assert fjord["Message-ID"].endswith("@fjord.example>")
    assert tarn["Message-ID"].endswith("@tarn.example>")
    assert html(fjord).count('lang="de"') and "Tarn" not in html(fjord)
    assert html(tarn).count("#7a1f1f") and "Fjord &amp; Field" not in html(tarn)


def test_a_shop_s_secret_signs_only_for_that_shop(client: FlaskClient) -> None:
    assert post(client, order(), secret=OTHER_SECRET).status_code == 401
    assert post_to_tarn(client, shopify(), secret=SECRET).status_code == 200  # the older of its two secrets


def test_a_shop_that_wants_paid_orders_waits_for_the_payment(client: FlaskClient) -> None:
    waiting = post_to_tarn(client, shopify(financial_status="pending")).get_json()
    assert waiting["outcome"] == "not_due"
    assert post_to_tarn(client, shopify()).get_json()["outcome"] == "accepted"


def test_of_many_deliveries_repeated_reordered_and_forged_each_order_has_one_mail(
    client: FlaskClient, sink: tuple[Sink, int]
) -> None:
    chance = random.Random(17)
    deliveries = [
        (number, kind)
        for number in range(60)
        for kind in ("unpaid", "paid", "paid", "completed", "forged", "other topic")
    ]
    chance.shuffle(deliveries)
    statuses = []
    for number, kind in deliveries:
        body = order(id=number + 1, status={"unpaid": "pending", "completed": "completed"}.get(kind, "processing"))
        body["billing"]["email"] = f"customer{number}@example.com"
        if kind == "unpaid":
            body["date_paid_gmt"] = None
        secret = "a forger's secret of this length" if kind == "forged" else SECRET
        topic = "order.deleted" if kind == "other topic" else chance.choice(["order.created", "order.updated"])
        statuses.append((kind == "forged", post(client, body, topic, secret).status_code))
    assert set(statuses) == {(True, 401), (False, 200)}
    recipients = Counter(str(parsed(mail)["To"].addresses[0].addr_spec) for mail in sink[0].wait_for(60))
    assert recipients == {f"customer{number}@example.com": 1 for number in range(60)}
    assert {outcome for outcome, _ in kept(client)} == {"other_topic"}
