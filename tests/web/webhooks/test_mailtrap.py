"""Mailtrap's webhook: which events are read, and which mail each is about."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest
from callers import URL, place, wait_for
from conftest import relay_variables
from flask import Flask
from flask.testing import FlaskClient
from mailtrap_events import SECRET, event, receipt, report, send, sent
from processes import query
from smtp_server import Sink

from orderconfirm.web.auth import WRONG_KEYS_PER_MINUTE


@pytest.fixture
def client(sink: tuple[Sink, int], start_app: Callable[..., Flask]) -> FlaskClient:
    return start_app(**relay_variables(sink[1], MAILTRAP_WEBHOOK_SECRET=SECRET)).test_client()


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
def test_an_event_becomes_the_order_s_delivery(client: FlaskClient, kind: str, delivery: str | None) -> None:
    sent(client)
    assert report(client, event(kind, response="250 Ok", response_code=250)) == receipt(1)
    found = client.get(f"{URL}/ORD-12345").get_json()
    assert (found["state"], found["delivery"]) == ("sent", delivery)
    assert [(each["event"], each["code"], each["text"]) for each in found["deliveries"]] == [(kind, 250, "250 Ok")]


def test_an_event_is_stored_once(client: FlaskClient) -> None:
    sent(client)
    assert report(client, event("delivery"), event("delivery")) == receipt(2, new=1)
    assert report(client, event("delivery"), event("open", 2)) == receipt(2, new=1)
    assert len(client.get(f"{URL}/ORD-12345").get_json()["deliveries"]) == 2


def test_an_older_event_that_comes_late_does_not_undo_a_newer_one(client: FlaskClient) -> None:
    sent(client)
    report(client, event("spam", 5))
    report(client, event("delivery", 2))
    report(client, event("open", 9))
    found = client.get(f"{URL}/ORD-12345").get_json()
    assert found["delivery"] == "complained"
    assert [each["event"] for each in found["deliveries"]] == ["delivery", "spam", "open"]


def test_a_complaint_is_not_undone_by_a_delivery_that_is_reported_as_newer(client: FlaskClient) -> None:
    sent(client)
    report(client, event("spam", 5), event("delivery", 6))
    assert client.get(f"{URL}/ORD-12345").get_json()["delivery"] == "complained"


def test_a_complaint_that_is_reported_as_older_than_its_delivery_counts(client: FlaskClient) -> None:
    sent(client)
    report(client, event("delivery", 6))
    report(client, event("spam", 5))
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
    report(client, event("open", timestamp=timestamp))
    assert [each["at"] for each in client.get(f"{URL}/ORD-12345").get_json()["deliveries"]] == [at]


@pytest.mark.parametrize("timestamp", [4102444800, "2999-01-01", 1e300, "soon", None, {}])
def test_a_time_that_has_not_come_or_is_none_is_now(client: FlaskClient, timestamp: Any) -> None:
    sent(client)
    before = datetime.now(UTC)
    report(client, event("soft bounce", 1, timestamp=timestamp))
    [found] = client.get(f"{URL}/ORD-12345").get_json()["deliveries"]
    assert before <= datetime.fromisoformat(found["at"]) <= datetime.now(UTC)
    report(client, event("delivery", 2, timestamp=time.time()))
    assert client.get(f"{URL}/ORD-12345").get_json()["delivery"] == "delivered"


@pytest.mark.parametrize(("code", "expected"), [(550, 550), ("550", 550), ("5.1.1", None), (10**30, None), (-1, None)])
def test_a_code_is_a_number_however_it_is_written(client: FlaskClient, code: Any, expected: int | None) -> None:
    sent(client)
    report(client, event("bounce", response_code=code))
    assert [each["code"] for each in client.get(f"{URL}/ORD-12345").get_json()["deliveries"]] == [expected]


def test_json_lines_are_read_as_well(client: FlaskClient) -> None:
    sent(client)
    body = b"\n".join(json.dumps(event("open", number)).encode() for number in range(500)) + b"\n"
    assert send(client, body).get_json() == receipt(500)
    assert send(client, json.dumps(event("delivery", 900)).encode()).get_json() == receipt(1)


def test_a_line_that_cannot_be_read_does_not_hold_back_the_others(client: FlaskClient) -> None:
    sent(client)
    body = b"\n".join([json.dumps(event("open")).encode(), b'{"event": "open"', b"7", b"\xff"])
    assert send(client, body).get_json() == {"received": 1, "new": 1, "unreadable": 3}
    assert send(client, b'{"events": [1, {}]}').get_json() == {"received": 1, "new": 1, "unreadable": 1}
    assert send(client, b'{"events": []}').get_json() == receipt(0)
    assert send(client, json.dumps([event("open", 2), event("open", 3)]).encode()).get_json() == receipt(2)
    assert send(client, b"{\n[").status_code == 400


@pytest.mark.parametrize(
    "odd", [b'{"a": 1, "a": 2}', b'{"n": 1e9999}', b'{"n": NaN}', b'{"n": ' + b"9" * 5000 + b"}", b'{"text": "\xff"}']
)
def test_a_malformed_value_in_an_event_blocks_no_other_event(client: FlaskClient, odd: bytes, tmp_path: Path) -> None:
    sent(client)
    body = b'{"events": [' + json.dumps(event("open")).encode() + b", " + odd + b"]}"
    assert send(client, body).get_json() == receipt(2)
    assert len(client.get(f"{URL}/ORD-12345").get_json()["deliveries"]) == 1


def test_500_events_with_long_words_are_stored(client: FlaskClient) -> None:
    sent(client)
    events = [event("soft bounce", number, response="4.2.2 full " * 400) for number in range(500)]
    assert len(json.dumps(events)) > 2**21
    assert report(client, *events) == receipt(500)
    answer = send(client, b" " * (4 * 2**20 + 1))
    assert (answer.status_code, "larger than 4 MiB" in answer.get_json()["detail"]) == (413, True)


@pytest.mark.parametrize("signature", ["", "0" * 64, "ü"])
def test_nothing_is_stored_with_a_wrong_signature(client: FlaskClient, signature: str, log: list[str]) -> None:
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
    assert report(client, event("bounce", **changes)) == receipt(1)


def test_without_a_secret_there_is_no_webhook(start_app: Callable[..., Flask]) -> None:
    answer = send(start_app().test_client(), b"{}")
    assert answer.status_code == 404
    assert "MAILTRAP_WEBHOOK_SECRET" in answer.get_json()["detail"]


def test_an_event_finds_the_mail_that_it_is_about(client: FlaskClient) -> None:
    first = sent(client)
    client.post(f"{URL}/ORD-12345/resend", json={"email": "right@example.com"})
    wait_for(client, "ORD-12345", "sent")
    variables = {"order_id": "ORD-12345", "shop": "default", "message_id": first["message_id"]}
    report(client, event("bounce", custom_variables=variables))
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
    report(client, event("delivery", custom_variables=variables))
    found = client.get(f"{URL}/{order_id}").get_json()
    assert [(each["event"], each["revision"]) for each in found["deliveries"]] == [("delivery", 0)]


@pytest.mark.parametrize("changes", [{"shop": "other"}, {"order_id": "other"}, {"message_id": "<other@x>"}])
def test_a_number_alone_is_not_believed(client: FlaskClient, changes: dict[str, str]) -> None:
    sent(client)
    report(client, event("delivery", custom_variables={"mail_id": "1", **changes}))
    assert client.get(f"{URL}/ORD-12345").get_json()["deliveries"] == []
    report(client, event("delivery", 2, custom_variables={"mail_id": "1"}))
    assert len(client.get(f"{URL}/ORD-12345").get_json()["deliveries"]) == 1


def test_what_named_no_mail_is_forgotten_in_its_time(client: FlaskClient, tmp_path: Path) -> None:
    report(client, event("bounce", response="550 <john.doe@example.com> is gone"))
    retention = client.application.extensions["orderconfirm"].confirmations._retention
    retention.purge(60)
    assert "john.doe" in str(query(tmp_path, "SELECT text, raw FROM delivery_events"))
    retention.purge(-1)
    assert query(tmp_path, "SELECT * FROM delivery_events") == []


def test_what_comes_for_an_erased_order_is_kept_without_its_words(client: FlaskClient, tmp_path: Path) -> None:
    sent(client)
    report(client, event("open", 1, ip="203.0.113.9"))
    assert client.delete(f"{URL}/ORD-12345").status_code == 204
    report(client, event("bounce", 2, response="550 <john.doe@example.com> is gone"))
    rows = query(tmp_path, "SELECT event, mail_id, text, raw FROM delivery_events ORDER BY at")
    assert rows == [("bounce", None, None, None)]
    assert place(client, "2").get_json()["state"] == "held"


def test_what_comes_for_a_purged_order_changes_its_delivery_and_goes_in_its_time(
    client: FlaskClient, tmp_path: Path
) -> None:
    sent(client)
    retention = client.application.extensions["orderconfirm"].confirmations._retention
    report(client, event("delivery", 1))
    retention.purge(-1)
    bounce = event("bounce", 2, timestamp=time.time() + 1, response="550 <john.doe@example.com> is gone")
    assert [report(client, bounce)["new"] for _ in range(2)] == [1, 0]
    found = client.get(f"{URL}/ORD-12345").get_json()
    assert (found["state"], found["delivery"], found["deliveries"], found["history"]) == ("sent", "bounced", [], [])
    assert "john.doe" not in str(query(tmp_path, "SELECT * FROM delivery_events"))
    retention.purge(-1)
    assert query(tmp_path, "SELECT * FROM delivery_events") == []
