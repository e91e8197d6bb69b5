"""One order in the log: its request, its attempts and its delivery, without its customer."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from typing import Any

import pytest
from callers import URL, place, wait_for
from conftest import relay_variables
from factories import make_body
from flask import Flask
from processes import wait_until
from smtp_server import Sink

StartApp = Callable[..., Flask]
Lines = list[dict[str, Any]]

SECRET = "0123456789abcdef0123456789abcdef"


def lines_about(event: str, lines: Lines) -> Lines:
    return [line for line in lines if line["event"] == event]


def events_of(lines: Lines, order_id: str) -> list[tuple[str, str | None]]:
    """The events of an order, with the request that each names."""
    return [(line["event"], line.get("request_id")) for line in lines if line.get("order_id") == order_id]


def test_the_id_of_the_request_leads_from_the_intake_over_the_attempts_to_the_delivery(
    start_app: StartApp, sink: tuple[Sink, int], lines: Lines
) -> None:
    mailbox, port = sink
    mailbox.replies["RCPT"] = ["451 4.7.1 greylisted"]
    variables = {"MAIL_RETRY_DELAYS": "0.1", "MAILTRAP_WEBHOOK_SECRET": SECRET, "LOG_LEVEL": "DEBUG"}
    client = start_app(**relay_variables(port, **variables)).test_client()
    assert place(client, "K1", {"X-Request-ID": "checkout-1"}).status_code == 202
    assert wait_for(client, "K1", "sent")["request_id"] == "checkout-1"
    event = {"event": "delivery", "event_id": "1", "custom_variables": {"order_id": "K1", "shop": "default"}}
    body = json.dumps({"events": [event]}).encode()
    signature = hmac.new(SECRET.encode(), body, sha256).hexdigest()
    headers = {"Mailtrap-Signature": signature, "X-Request-ID": "callback-1"}
    assert client.post("/api/webhooks/mailtrap", data=body, headers=headers, content_type="application/json")
    wanted = ["order accepted", "request handled", "mail deferred", "mail sent", "delivery reported"]
    found = [event for event, request_id in events_of(lines, "K1") if request_id == "checkout-1"]
    assert sorted(found) == sorted(wanted)
    [sent] = lines_about("mail sent", lines)
    assert (sent["state"], sent["stage"], sent["code"]) == ("sent", "end_of_data", 250)
    assert sent["duration_ms"] > 0
    resent = client.post(f"{URL}/K1/resend", json={}, headers={"X-Request-ID": "desk-1"}).get_json()
    assert resent["request_id"] == "desk-1"


def test_the_customer_is_masked_in_the_relay_s_words_wherever_they_go(
    start_app: StartApp, sink: tuple[Sink, int], lines: Lines
) -> None:
    mailbox, port = sink
    mailbox.replies["RCPT"] = ["550 5.1.1 John Doe <john.doe@example.com> of 123 Main St has moved"]
    client = start_app(**relay_variables(port)).test_client()
    place(client, "K1")
    masked = "5.1.1 … <…@example.com> of … has moved"
    status = wait_for(client, "K1", "failed")
    assert status["reason"] == f"rcpt: 550 {masked}"
    assert [each["text"] for each in status["history"]] == [masked]
    [line] = wait_until(lambda: lines_about("mail failed", lines))
    assert (line["level"], line["reason"]) == ("ERROR", f"rcpt: 550 {masked}")


def test_an_unexpected_failure_is_logged_with_its_place_but_not_with_the_order(
    start_app: StartApp, sink: tuple[Sink, int], lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = start_app(**relay_variables(sink[1]))
    renderer = app.extensions["orderconfirm"].renderers["default"]
    monkeypatch.setattr(renderer, "render", lambda order: int(order.customer.name))
    place(app.test_client(), "K1", {"X-Request-ID": "checkout-1"})
    status = wait_for(app.test_client(), "K1", "failed")
    assert status["reason"] == "ValueError: invalid literal for int() with base 10: '…'"
    [line] = lines_about("a mail could not be rendered", lines)
    assert (line["order_id"], line["request_id"]) == ("K1", "checkout-1")
    assert "in prepare" in line["trace"] and "John" not in line["trace"]


def test_a_pause_of_the_relay_has_one_line_at_its_start_and_one_at_its_end(
    start_app: StartApp, sink: tuple[Sink, int], lines: Lines
) -> None:
    mailbox, port = sink
    mailbox.replies["MAIL"] = ["421 4.3.2 John Doe, the system is down"] * 2
    client = start_app(**relay_variables(port)).test_client()
    client.post(URL, json=make_body())
    wait_for(client, "ORD-12345", "sent")
    wait_until(lambda: lines_about("the relay accepts mail again", lines))
    [began] = lines_about("the relay is paused", lines)
    [ended] = lines_about("the relay accepts mail again", lines)
    assert (began["level"], began["stage"], began["code"], began["order_id"]) == ("ERROR", "mail", 421, "ORD-12345")
    assert began["reason"] == "4.3.2 …, the system is down"
    assert datetime.fromisoformat(began["next_try_at"]).utcoffset() is not None
    assert (ended["level"], ended["duration_ms"] >= 1000) == ("WARNING", True)
