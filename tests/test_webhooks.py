"""What Mailtrap tells of sent mails, as it posts it."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from conftest import relay_variables
from factories import make_body
from flask import Flask
from flask.testing import FlaskClient
from processes import query, wait_until
from smtp_server import Sink
from werkzeug.test import TestResponse

URL = "/api/order-confirmation"
HOOK = "/api/webhooks/mailtrap"
SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def client(sink: tuple[Sink, int], start_app: Callable[..., Flask]) -> FlaskClient:
    return start_app(**relay_variables(sink[1], MAILTRAP_WEBHOOK_SECRET=SECRET)).test_client()


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


def tell(client: FlaskClient, *events: dict[str, Any]) -> dict[str, Any]:
    answer = send(client, json.dumps({"events": events}).encode())
    assert answer.status_code == 200
    told: dict[str, Any] = answer.get_json()
    return told


def sent(client: FlaskClient, order_id: str = "ORD-12345") -> dict[str, Any]:
    client.post(URL, json=make_body(order_id=order_id))
    return wait_until(lambda: (told := client.get(f"{URL}/{order_id}").get_json())["state"] == "sent" and told) or {}


@pytest.mark.parametrize(
    ("kind", "delivery"),
    [
        ("delivery", "delivered"),
        ("soft bounce", "soft_bounced"),
        ("bounce", "bounced"),
        ("spam", "complained"),
        ("reject", "rejected"),
        ("suspension", "suspended"),
        ("open", None),
        ("click", None),
        ("something new", None),
    ],
)
def test_an_event_becomes_the_order_s_delivery_and_story(client: FlaskClient, kind: str, delivery: str | None) -> None:
    sent(client)
    assert tell(client, event(kind, response="250 Ok", response_code=250)) == {"received": 1, "new": 1}
    told = client.get(f"{URL}/ORD-12345").get_json()
    assert (told["state"], told["delivery"]) == ("sent", delivery)
    assert [(each["event"], each["code"], each["text"]) for each in told["deliveries"]] == [(kind, 250, "250 Ok")]


def test_an_event_is_taken_once(client: FlaskClient) -> None:
    sent(client)
    assert tell(client, event("delivery"), event("delivery")) == {"received": 2, "new": 1}
    assert tell(client, event("delivery"), event("open", 2)) == {"received": 2, "new": 1}
    assert len(client.get(f"{URL}/ORD-12345").get_json()["deliveries"]) == 2


def test_an_older_event_that_comes_late_does_not_undo_a_newer_one(client: FlaskClient) -> None:
    sent(client)
    tell(client, event("spam", 5))
    tell(client, event("delivery", 2))
    told = client.get(f"{URL}/ORD-12345").get_json()
    assert told["delivery"] == "complained"
    assert [each["event"] for each in told["deliveries"]] == ["delivery", "spam"]


def test_json_lines_are_taken_as_well(client: FlaskClient) -> None:
    sent(client)
    body = b"\n".join(json.dumps(event("open", number)).encode() for number in range(500)) + b"\n"
    assert send(client, body).get_json() == {"received": 500, "new": 500}
    assert send(client, json.dumps(event("delivery", 900)).encode()).get_json() == {"received": 1, "new": 1}


@pytest.mark.parametrize("signature", ["", "0" * 64, "ü"])
def test_a_wrong_signature_takes_nothing(client: FlaskClient, signature: str) -> None:
    sent(client)
    answer = send(client, json.dumps({"events": [event("delivery")]}).encode(), signature)
    assert answer.status_code == 401
    assert answer.get_json()["type"] == "urn:orderconfirm:problem:bad-signature"
    assert client.get(f"{URL}/ORD-12345").get_json()["deliveries"] == []


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff", b'{"events": [1]}', b'{"a": 1, "a": 2}'])
def test_a_body_that_cannot_be_read_is_a_400(client: FlaskClient, body: bytes) -> None:
    assert send(client, body).status_code == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"custom_variables": None},
        {"custom_variables": {"order_id": "nobody", "shop": "default"}},
        {"custom_variables": [1]},
        {"event": None, "event_id": 7, "timestamp": "soon", "email": {"a": 1}},
        {"event": "x" * 5000, "response": "\x00\ud800", "response_code": 10**30},
    ],
)
def test_what_names_no_mail_or_makes_no_sense_is_kept_and_no_error(
    client: FlaskClient, changes: dict[str, Any]
) -> None:
    assert tell(client, event("bounce", **changes)) == {"received": 1, "new": 1}


def test_without_a_secret_there_is_no_webhook(start_app: Callable[..., Flask]) -> None:
    answer = send(start_app().test_client(), b"{}")
    assert answer.status_code == 404
    assert "MAILTRAP_WEBHOOK_SECRET" in answer.get_json()["detail"]


@pytest.mark.parametrize("kind", ["bounce", "spam"])
def test_a_dead_address_is_held_until_somebody_releases_it(
    client: FlaskClient, sink: tuple[Sink, int], kind: str
) -> None:
    sent(client)
    tell(client, event(kind))
    answer = client.post(URL, json=make_body(order_id="next"))
    assert (answer.status_code, answer.get_json()["state"]) == (202, "held")
    told = client.get(f"{URL}/next").get_json()
    assert "resend releases it" in told["reason"] and [e["event"] for e in told["history"]] == ["held"]
    assert len(sink[0].mails) == 1
    assert client.post(f"{URL}/next/resend").status_code == 202
    sink[0].wait_for(2)
    sent(client, "third")
    assert len(sink[0].mails) == 3
    assert client.get("/ready").get_json()["mails"] == {}


def test_an_event_finds_the_mail_that_it_is_about(client: FlaskClient) -> None:
    first = sent(client)
    client.post(f"{URL}/ORD-12345/resend", json={"email": "right@example.com"})
    wait_until(lambda: client.get(f"{URL}/ORD-12345").get_json()["state"] == "sent")
    variables = {"order_id": "ORD-12345", "shop": "default", "message_id": first["message_id"]}
    tell(client, event("bounce", custom_variables=variables))
    told = client.get(f"{URL}/ORD-12345").get_json()
    assert told["delivery"] is None
    assert [each["event"] for each in told["deliveries"]] == ["bounce"]


def test_what_comes_for_an_erased_order_is_kept_without_its_words(client: FlaskClient, tmp_path: Path) -> None:
    sent(client)
    tell(client, event("open", 1, ip="203.0.113.9"))
    assert client.delete(f"{URL}/ORD-12345").status_code == 204
    tell(client, event("bounce", 2, response="550 <john.doe@example.com> is gone"))
    rows = query(tmp_path, "SELECT event, text, raw FROM deliveries ORDER BY at")
    assert rows == [("open", None, None), ("bounce", None, None)]
