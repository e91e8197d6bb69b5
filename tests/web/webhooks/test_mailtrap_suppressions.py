"""What Mailtrap's events do to addresses: bounces and complaints hold further mails."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from callers import URL, place, wait_for
from conftest import relay_variables
from flask import Flask
from flask.testing import FlaskClient
from mailtrap_events import SECRET, admin_of, event, report, retry_all, sent
from processes import wait_until
from smtp_server import Sink


@pytest.fixture
def client(sink: tuple[Sink, int], start_app: Callable[..., Flask]) -> FlaskClient:
    return start_app(**relay_variables(sink[1], MAILTRAP_WEBHOOK_SECRET=SECRET)).test_client()


def test_a_bounce_that_names_no_address_is_of_its_mail_s(client: FlaskClient) -> None:
    sent(client)
    report(client, event("bounce", email=None))
    assert place(client, "next").get_json()["state"] == "held"


@pytest.mark.parametrize("kind", ["bounce", "spam"])
def test_a_dead_address_is_held_until_somebody_releases_it(
    client: FlaskClient, sink: tuple[Sink, int], kind: str
) -> None:
    sent(client)
    report(client, event(kind))
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
    report(client, event("spam", email="John.Doe@example.com"))
    for order_id in ("queued", "failed"):
        found = client.get(f"{URL}/{order_id}").get_json()
        assert (found["state"], found["history"][-1]["event"]) == ("held", "held")
    assert retry_all(client) == 0
    assert client.post(f"{URL}/queued/resend").status_code == 202
    assert "retry sends the mail" in client.get(f"{URL}/failed").get_json()["reason"]
    assert admin_of(client).requeue("default", "failed") == 1


def test_an_address_that_dies_again_is_held_again(client: FlaskClient) -> None:
    sent(client)
    report(client, event("bounce", 1))
    for order_id in ("2", "3"):
        place(client, order_id)
    client.post(f"{URL}/3/resend")
    assert "retry sends the mail" in client.get(f"{URL}/2").get_json()["reason"]
    report(client, event("bounce", 2, timestamp=time.time() + 1))
    assert "use resend to release it" in client.get(f"{URL}/2").get_json()["reason"]
    assert retry_all(client) == admin_of(client).requeue("default", "2") == 0


def test_what_is_reported_of_the_time_before_a_release_holds_nothing(client: FlaskClient) -> None:
    sent(client)
    report(client, event("bounce", 1))
    client.post(f"{URL}/ORD-12345/resend")
    wait_for(client, "ORD-12345", "sent")
    report(client, event("bounce", 2))
    assert place(client, "2").get_json()["state"] == "queued"
    report(client, event("bounce", 3, timestamp=time.time() + 1))
    assert place(client, "3").get_json()["state"] == "held"


def test_what_expired_is_not_put_back_for_an_address_that_died(client: FlaskClient) -> None:
    place(client, "late", send_before="2025-01-01")
    sent(client)
    report(client, event("bounce"))
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
    report(client, event("bounce"))
    sink[0].held_at = None
    found = wait_for(client, "2", "held")
    assert [each["event"] for each in found["history"]][-1] == "held"
