"""What Mailtrap tells of sent mails, as it posts it."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import SMTP
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from callers import URL, place, wait_for
from conftest import relay_variables
from flask import Flask
from flask.testing import FlaskClient
from processes import query, wait_until
from smtp_server import Sink
from werkzeug.test import TestResponse

from orderconfirm.models import State
from orderconfirm.outbox.admin import OutboxAdmin
from orderconfirm.web.auth import WRONG_KEYS_PER_MINUTE

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


def admin_of(client: FlaskClient) -> OutboxAdmin:
    admin: OutboxAdmin = client.application.extensions["orderconfirm"].confirmations._admin
    return admin


def retry_all(client: FlaskClient) -> int:
    return sum(client.application.extensions["orderconfirm"].confirmations.retry_all("default", State.RETRYABLE))


def taken(received: int, new: int | None = None) -> dict[str, int]:
    """The answer to events that can all be read; without `new`, all of them are."""
    return {"received": received, "new": received if new is None else new, "unreadable": 0}


def tell(client: FlaskClient, *events: dict[str, Any]) -> dict[str, Any]:
    answer = send(client, json.dumps({"events": events}).encode())
    assert answer.status_code == 200
    found: dict[str, Any] = answer.get_json()
    return found


def sent(client: FlaskClient, order_id: str = "ORD-12345") -> dict[str, Any]:
    place(client, order_id)
    return wait_for(client, order_id, "sent")


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
    assert tell(client, event(kind, response="250 Ok", response_code=250)) == taken(1)
    found = client.get(f"{URL}/ORD-12345").get_json()
    assert (found["state"], found["delivery"]) == ("sent", delivery)
    assert [(each["event"], each["code"], each["text"]) for each in found["deliveries"]] == [(kind, 250, "250 Ok")]


def test_an_event_is_taken_once(client: FlaskClient) -> None:
    sent(client)
    assert tell(client, event("delivery"), event("delivery")) == taken(2, new=1)
    assert tell(client, event("delivery"), event("open", 2)) == taken(2, new=1)
    assert len(client.get(f"{URL}/ORD-12345").get_json()["deliveries"]) == 2


def test_an_older_event_that_comes_late_does_not_undo_a_newer_one(client: FlaskClient) -> None:
    sent(client)
    tell(client, event("spam", 5))
    tell(client, event("delivery", 2))
    tell(client, event("open", 9))
    found = client.get(f"{URL}/ORD-12345").get_json()
    assert found["delivery"] == "complained"
    assert [each["event"] for each in found["deliveries"]] == ["delivery", "spam", "open"]


def test_a_complaint_is_not_undone_by_a_delivery_that_is_reported_as_newer(client: FlaskClient) -> None:
    sent(client)
    tell(client, event("spam", 5), event("delivery", 6))
    assert client.get(f"{URL}/ORD-12345").get_json()["delivery"] == "complained"


def test_a_complaint_that_is_reported_as_older_than_its_delivery_counts(client: FlaskClient) -> None:
    sent(client)
    tell(client, event("delivery", 6))
    tell(client, event("spam", 5))
    assert client.get(f"{URL}/ORD-12345").get_json()["delivery"] == "complained"


@pytest.mark.parametrize(
    ("timestamp", "at"),
    [
        (1742049009, "2025-03-15T14:30:09+00:00"),
        (1742049009.25, "2025-03-15T14:30:09.250000+00:00"),
        ("1742049009", "2025-03-15T14:30:09+00:00"),
        (1742049009000, "2025-03-15T14:30:09+00:00"),
        ("2025-03-15T14:30:09Z", "2025-03-15T14:30:09+00:00"),
        ("2025-03-15T15:30:09+01:00", "2025-03-15T14:30:09+00:00"),
        ("2025-03-15T14:30:09", "2025-03-15T14:30:09+00:00"),
    ],
)
def test_a_time_is_read_however_it_is_written(client: FlaskClient, timestamp: Any, at: str) -> None:
    sent(client)
    tell(client, event("open", timestamp=timestamp))
    assert [each["at"] for each in client.get(f"{URL}/ORD-12345").get_json()["deliveries"]] == [at]


@pytest.mark.parametrize("timestamp", [4102444800, "2999-01-01", 1e300, "soon", None, {}])
def test_a_time_that_has_not_come_or_is_none_is_now(client: FlaskClient, timestamp: Any) -> None:
    sent(client)
    before = datetime.now(UTC)
    tell(client, event("soft bounce", 1, timestamp=timestamp))
    [found] = client.get(f"{URL}/ORD-12345").get_json()["deliveries"]
    assert before <= datetime.fromisoformat(found["at"]) <= datetime.now(UTC)
    tell(client, event("delivery", 2, timestamp=time.time()))
    assert client.get(f"{URL}/ORD-12345").get_json()["delivery"] == "delivered"


@pytest.mark.parametrize(("code", "expected"), [(550, 550), ("550", 550), ("5.1.1", None), (10**30, None), (-1, None)])
def test_a_code_is_a_number_however_it_is_written(client: FlaskClient, code: Any, expected: int | None) -> None:
    sent(client)
    tell(client, event("bounce", response_code=code))
    assert [each["code"] for each in client.get(f"{URL}/ORD-12345").get_json()["deliveries"]] == [expected]


def test_json_lines_are_taken_as_well(client: FlaskClient) -> None:
    sent(client)
    body = b"\n".join(json.dumps(event("open", number)).encode() for number in range(500)) + b"\n"
    assert send(client, body).get_json() == taken(500)
    assert send(client, json.dumps(event("delivery", 900)).encode()).get_json() == taken(1)


def test_a_line_that_cannot_be_read_does_not_hold_back_the_others(client: FlaskClient) -> None:
    sent(client)
    body = b"\n".join([json.dumps(event("open")).encode(), b'{"event": "open"', b"7", b"\xff"])
    assert send(client, body).get_json() == {"received": 1, "new": 1, "unreadable": 3}
    assert send(client, b'{"events": [1, {}]}').get_json() == {"received": 1, "new": 1, "unreadable": 1}
    assert send(client, b'{"events": []}').get_json() == taken(0)
    assert send(client, json.dumps([event("open", 2), event("open", 3)]).encode()).get_json() == taken(2)
    assert send(client, b"{\n[").status_code == 400


@pytest.mark.parametrize(
    "odd", [b'{"a": 1, "a": 2}', b'{"n": 1e9999}', b'{"n": NaN}', b'{"n": ' + b"9" * 5000 + b"}", b'{"text": "\xff"}']
)
def test_a_malformed_value_in_an_event_blocks_no_other_event(client: FlaskClient, odd: bytes, tmp_path: Path) -> None:
    sent(client)
    body = b'{"events": [' + json.dumps(event("open")).encode() + b", " + odd + b"]}"
    assert send(client, body).get_json() == taken(2)
    assert len(client.get(f"{URL}/ORD-12345").get_json()["deliveries"]) == 1


def test_500_events_with_long_words_are_taken(client: FlaskClient) -> None:
    sent(client)
    events = [event("soft bounce", number, response="4.2.2 full " * 400) for number in range(500)]
    assert len(json.dumps(events)) > 2**21
    assert tell(client, *events) == taken(500)
    answer = send(client, b" " * (4 * 2**20 + 1))
    assert (answer.status_code, "larger than 4 MiB" in answer.get_json()["detail"]) == (413, True)


@pytest.mark.parametrize("signature", ["", "0" * 64, "ü"])
def test_a_wrong_signature_takes_nothing(client: FlaskClient, signature: str, log: list[str]) -> None:
    sent(client)
    answer = send(client, json.dumps({"events": [event("delivery")]}).encode(), signature)
    assert answer.status_code == 401
    assert answer.get_json()["type"] == "urn:orderconfirm:problem:bad-signature"
    assert any("without a valid signature" in line for line in log)
    assert client.get(f"{URL}/ORD-12345").get_json()["deliveries"] == []


def test_wrong_signatures_do_not_fill_the_log(client: FlaskClient, log: list[str]) -> None:
    assert {send(client, b"{}", "0" * 64).status_code for _ in range(30)} == {401}
    assert len(log) == WRONG_KEYS_PER_MINUTE + 1
    assert log[-1].endswith("too many, not logged for the next minute")


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff"])
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
    assert tell(client, event("bounce", **changes)) == taken(1)


def test_without_a_secret_there_is_no_webhook(start_app: Callable[..., Flask]) -> None:
    answer = send(start_app().test_client(), b"{}")
    assert answer.status_code == 404
    assert "MAILTRAP_WEBHOOK_SECRET" in answer.get_json()["detail"]


def test_a_bounce_that_names_no_address_is_of_its_mail_s(client: FlaskClient) -> None:
    sent(client)
    tell(client, event("bounce", email=None))
    assert place(client, "next").get_json()["state"] == "held"


@pytest.mark.parametrize("kind", ["bounce", "spam"])
def test_a_dead_address_is_held_until_somebody_releases_it(
    client: FlaskClient, sink: tuple[Sink, int], kind: str
) -> None:
    sent(client)
    tell(client, event(kind))
    answer = place(client, "next")
    assert (answer.status_code, answer.get_json()["state"]) == (202, "held")
    found = client.get(f"{URL}/next").get_json()
    assert "use resend to release it" in found["reason"] and [e["event"] for e in found["history"]] == ["held"]
    assert len(sink[0].mails) == 1
    assert admin_of(client).requeue("default", "next") == retry_all(client) == 0
    assert client.post(f"{URL}/next/resend").status_code == 202
    sink[0].wait_for(2)
    sent(client, "third")
    assert len(sink[0].mails) == 3
    assert client.get("/ready").get_json()["mails"] == {}


def test_what_waits_for_an_address_that_died_is_held_too_and_may_go_once_it_is_released(
    client: FlaskClient, sink: tuple[Sink, int]
) -> None:
    sent(client)
    sink[0].replies["RCPT"] = ["451 4.3.0 later", "550 5.1.1 no"]
    for order_id in ("queued", "failed"):
        place(client, order_id)
        wait_until(lambda order_id=order_id: client.get(f"{URL}/{order_id}").get_json()["history"])
    tell(client, event("spam", email="John.Doe@example.com"))
    for order_id in ("queued", "failed"):
        found = client.get(f"{URL}/{order_id}").get_json()
        assert (found["state"], found["history"][-1]["event"]) == ("held", "held")
    assert retry_all(client) == 0
    assert client.post(f"{URL}/queued/resend").status_code == 202
    assert "retry sends the mail" in client.get(f"{URL}/failed").get_json()["reason"]
    assert admin_of(client).requeue("default", "failed") == 1


def test_an_address_that_dies_again_is_held_again(client: FlaskClient) -> None:
    sent(client)
    tell(client, event("bounce", 1))
    for order_id in ("2", "3"):
        place(client, order_id)
    client.post(f"{URL}/3/resend")
    assert "retry sends the mail" in client.get(f"{URL}/2").get_json()["reason"]
    tell(client, event("bounce", 2, timestamp=time.time() + 1))
    assert "use resend to release it" in client.get(f"{URL}/2").get_json()["reason"]
    assert retry_all(client) == admin_of(client).requeue("default", "2") == 0


def test_what_is_reported_of_the_time_before_a_release_holds_nothing(client: FlaskClient) -> None:
    sent(client)
    tell(client, event("bounce", 1))
    client.post(f"{URL}/ORD-12345/resend")
    wait_for(client, "ORD-12345", "sent")
    tell(client, event("bounce", 2))
    assert place(client, "2").get_json()["state"] == "queued"
    tell(client, event("bounce", 3, timestamp=time.time() + 1))
    assert place(client, "3").get_json()["state"] == "held"


def test_what_expired_is_not_put_back_for_an_address_that_died(client: FlaskClient) -> None:
    place(client, "late", send_before="2025-01-01")
    sent(client)
    tell(client, event("bounce"))
    assert admin_of(client).requeue("default", "late") == 0


@pytest.mark.parametrize("reply", ["451 4.3.0 later", "550 5.1.1 no"])
def test_a_mail_that_is_on_its_way_when_its_address_dies_does_not_go_again(
    client: FlaskClient, sink: tuple[Sink, int], reply: str
) -> None:
    sent(client)
    sink[0].held_at = "RCPT"
    sink[0].replies["RCPT"] = [reply]
    place(client, "2")
    wait_for(client, "2", "sending")
    tell(client, event("bounce"))
    sink[0].held_at = None
    found = wait_for(client, "2", "held")
    assert [each["event"] for each in found["history"]][-1] == "held"


def test_an_event_finds_the_mail_that_it_is_about(client: FlaskClient) -> None:
    first = sent(client)
    client.post(f"{URL}/ORD-12345/resend", json={"email": "right@example.com"})
    wait_for(client, "ORD-12345", "sent")
    variables = {"order_id": "ORD-12345", "shop": "default", "message_id": first["message_id"]}
    tell(client, event("bounce", custom_variables=variables))
    found = client.get(f"{URL}/ORD-12345").get_json()
    assert found["delivery"] is None
    assert [each["event"] for each in found["deliveries"]] == ["bounce"]


@pytest.mark.parametrize(
    "order_id",
    ["x" * 128, "Bestellung\N{NO-BREAK SPACE}7", "zero\N{ZERO WIDTH SPACE}width", "订单" * 40, "naïve/7", '"quoted"'],
)
def test_the_event_of_a_real_mail_finds_it_whatever_its_order_is_called(
    client: FlaskClient, sink: tuple[Sink, int], order_id: str
) -> None:
    sent(client, order_id)
    [mail] = sink[0].mails
    variables = json.loads(str(message_from_bytes(mail, policy=SMTP)["X-MT-Custom-Variables"]))
    tell(client, event("delivery", custom_variables=variables))
    found = client.get(f"{URL}/{order_id}").get_json()
    assert [(each["event"], each["revision"]) for each in found["deliveries"]] == [("delivery", 0)]


@pytest.mark.parametrize("changes", [{"shop": "other"}, {"order_id": "other"}, {"message_id": "<other@x>"}])
def test_a_number_alone_is_not_believed(client: FlaskClient, changes: dict[str, str]) -> None:
    sent(client)
    tell(client, event("delivery", custom_variables={"mail_id": "1", **changes}))
    assert client.get(f"{URL}/ORD-12345").get_json()["deliveries"] == []
    tell(client, event("delivery", 2, custom_variables={"mail_id": "1"}))
    assert len(client.get(f"{URL}/ORD-12345").get_json()["deliveries"]) == 1


def test_what_named_no_mail_is_forgotten_in_its_time(client: FlaskClient, tmp_path: Path) -> None:
    tell(client, event("bounce", response="550 <john.doe@example.com> is gone"))
    retention = client.application.extensions["orderconfirm"].confirmations._retention
    retention.purge(60)
    assert "john.doe" in str(query(tmp_path, "SELECT text, raw FROM delivery_events"))
    retention.purge(-1)
    assert query(tmp_path, "SELECT * FROM delivery_events") == []


def test_what_comes_for_an_erased_order_is_kept_without_its_words(client: FlaskClient, tmp_path: Path) -> None:
    sent(client)
    tell(client, event("open", 1, ip="203.0.113.9"))
    assert client.delete(f"{URL}/ORD-12345").status_code == 204
    tell(client, event("bounce", 2, response="550 <john.doe@example.com> is gone"))
    rows = query(tmp_path, "SELECT event, mail_id, text, raw FROM delivery_events ORDER BY at")
    assert rows == [("bounce", None, None, None)]
    assert place(client, "2").get_json()["state"] == "held"


def test_what_comes_for_a_purged_order_changes_its_delivery_and_goes_in_its_time(
    client: FlaskClient, tmp_path: Path
) -> None:
    sent(client)
    retention = client.application.extensions["orderconfirm"].confirmations._retention
    tell(client, event("delivery", 1))
    retention.purge(-1)
    bounce = event("bounce", 2, timestamp=time.time() + 1, response="550 <john.doe@example.com> is gone")
    assert [tell(client, bounce)["new"] for _ in range(2)] == [1, 0]
    found = client.get(f"{URL}/ORD-12345").get_json()
    assert (found["state"], found["delivery"], found["deliveries"], found["history"]) == ("sent", "bounced", [], [])
    assert "john.doe" not in str(query(tmp_path, "SELECT * FROM delivery_events"))
    retention.purge(-1)
    assert query(tmp_path, "SELECT * FROM delivery_events") == []
