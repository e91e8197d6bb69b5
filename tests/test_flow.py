"""An order from the HTTP request through the outbox to the mail that arrives over SMTP, in one process."""

from __future__ import annotations

import email
from collections.abc import Callable
from email import policy
from email.message import EmailMessage
from typing import Any, cast

import pytest
from conftest import relay_variables
from factories import make_body
from flask import Flask
from processes import wait_until
from smtp_server import Sink

from benchmarks.databases import emptied
from orderconfirm import create_app
from orderconfirm.settings import Settings
from orderconfirm.version import VERSION

URL = "/api/order-confirmation"
StartApp = Callable[..., Flask]


def parsed(source: bytes) -> EmailMessage:
    return cast(EmailMessage, email.message_from_bytes(source, policy=policy.default))


def status_in(app: Flask, order_id: str, state: str) -> dict[str, Any]:
    """Return the order's status once it is in `state`."""

    def status() -> dict[str, Any] | None:
        found: dict[str, Any] = app.test_client().get(f"{URL}/{order_id}").get_json()
        return found if found["state"] == state else None

    return cast(dict[str, Any], wait_until(status))


def test_an_order_becomes_one_complete_mail(start_app: StartApp, sink: tuple[Sink, int]) -> None:
    mailbox, port = sink
    app = start_app(**relay_variables(port, SUPPORT_EMAIL="help@acme.example"))
    response = app.test_client().post(URL, json=make_body())
    assert response.status_code == 202
    assert response.get_json()["state"] == "queued"
    [source] = mailbox.wait_for(1)
    mail = parsed(source)
    assert mailbox.recipients == ["john.doe@example.com"]
    assert mail["From"].addresses[0].display_name == "Acme, Inc."
    assert mail["From"].addresses[0].addr_spec == "orders@acme.example"
    assert mail["To"].addresses[0].display_name == "John Doe"
    assert mail["Reply-To"] == "help@acme.example"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Auto-Response-Suppress"] == "OOF, AutoReply"
    assert mail["Content-Language"] == "en"
    assert not [name for name in mail if name.startswith("X-MT")]
    assert "ORD-12345" in mail["Subject"]
    assert mail["Message-ID"] == response.get_json()["message_id"]
    assert mail["Message-ID"].endswith("@acme.example>")
    assert mail.get_content_type() == "multipart/alternative"
    for subtype in ("plain", "html"):
        part = cast(EmailMessage, mail.get_body((subtype,))).get_content()
        for fact in ("Wireless Headphones", "Phone Case", "$79.99", "2 × $19.99", "$39.98", "$119.97", "Express"):
            assert fact in part, (subtype, fact)
    status = status_in(app, "ORD-12345", "sent")
    assert [(e["event"], e["stage"], e["code"]) for e in status["history"]] == [("sent", "end_of_data", 250)]


def test_an_order_becomes_a_mail_on_each_version_of_postgresql(
    start_app: StartApp, sink: tuple[Sink, int], each_postgres: str
) -> None:
    mailbox, port = sink
    app = start_app(**relay_variables(port, DATABASE_URL=emptied(each_postgres)))
    assert app.test_client().post(URL, json=make_body()).status_code == 202
    assert len(mailbox.wait_for(1)) == 1
    status = status_in(app, "ORD-12345", "sent")
    assert [(each["event"], each["code"]) for each in status["history"]] == [("sent", 250)]


def test_a_repeated_order_returns_the_first_one_and_sends_nothing(start_app: StartApp, sink: tuple[Sink, int]) -> None:
    mailbox, port = sink
    app = start_app(**relay_variables(port))
    first = app.test_client().post(URL, json=make_body())
    mailbox.wait_for(1)
    status_in(app, "ORD-12345", "sent")
    again = app.test_client().post(URL, json=make_body(total="119.970"))
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.get_json()["state"] == "sent"
    assert again.get_json()["message_id"] == first.get_json()["message_id"]
    assert len(mailbox.mails) == 1


def test_another_order_with_a_used_id_is_refused_with_the_differences(start_app: StartApp) -> None:
    client = start_app().test_client()
    client.post(URL, json=make_body())
    response = client.post(URL, json=make_body(total=120, shipping_method="Slow"))
    assert response.status_code == 409
    assert response.content_type == "application/problem+json"
    assert [error["pointer"] for error in response.get_json()["errors"]] == ["/shipping_method", "/total"]


def test_a_temporarily_refused_mail_is_retried_until_it_is_sent(start_app: StartApp, sink: tuple[Sink, int]) -> None:
    mailbox, port = sink
    mailbox.replies["DATA"] = ["451 4.3.0 try later", "451 4.3.0 try later"]
    app = start_app(**relay_variables(port, MAIL_RETRY_DELAYS="0.05,0.1"))
    app.test_client().post(URL, json=make_body())
    mailbox.wait_for(1)
    status = status_in(app, "ORD-12345", "sent")
    assert [event["event"] for event in status["history"]] == ["deferred", "deferred", "sent"]
    assert status["attempts"] == 3
    assert status["history"][0]["text"] == "4.3.0 try later"


def test_a_permanently_refused_mail_fails_with_the_relay_s_reply(start_app: StartApp, sink: tuple[Sink, int]) -> None:
    mailbox, port = sink
    mailbox.replies["RCPT"] = ["550 5.1.1 no such user"]
    app = start_app(**relay_variables(port))
    app.test_client().post(URL, json=make_body())
    status = status_in(app, "ORD-12345", "failed")
    assert "no such user" in status["reason"]
    assert mailbox.mails == []


def test_a_mail_with_an_unknown_outcome_is_sent_again_with_the_same_message_id(
    start_app: StartApp, sink: tuple[Sink, int]
) -> None:
    mailbox, port = sink
    mailbox.disconnect_after_end_of_data = True
    app = start_app(**relay_variables(port, MAIL_UNKNOWN_OUTCOME_DELAY="1"))
    app.test_client().post(URL, json=make_body())
    first, second = (parsed(source) for source in mailbox.wait_for(2))
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Date"] == second["Date"]
    status = status_in(app, "ORD-12345", "sent")
    assert status["possible_copies"] == 1
    assert [event["event"] for event in status["history"]] == ["unknown", "sent"]


def test_an_unavailable_relay_uses_up_no_attempts(start_app: StartApp, sink: tuple[Sink, int]) -> None:
    mailbox, port = sink
    mailbox.replies["MAIL"] = ["421 4.3.2 shutting down"]
    app = start_app(**relay_variables(port, MAIL_MAX_CONNECTIONS="1"))
    for number in range(5):
        app.test_client().post(URL, json=make_body(order_id=f"O{number}"))
    mailbox.wait_for(5)
    assert sum(status_in(app, f"O{number}", "sent")["attempts"] for number in range(5)) == 5


def test_without_a_relay_the_mail_is_in_the_local_inbox(start_app: StartApp) -> None:
    app = start_app()
    client = app.test_client()
    client.post(URL, json=make_body(order_id="A/1 ä"))
    status_in(app, "A%2F1%20%C3%A4", "sent")
    page = client.get("/inbox").get_data(as_text=True)
    assert "A/1 ä" in page
    mail_id = page.split('href="/inbox/')[1].split('"')[0]
    assert "$119.97" in client.get(f"/inbox/{mail_id}").get_data(as_text=True)
    framed = client.get(f"/inbox/{mail_id}/html")
    assert "Wireless Headphones" in framed.get_data(as_text=True)
    assert framed.headers["Content-Security-Policy"].startswith("sandbox ")
    assert "allow-scripts" not in framed.headers["Content-Security-Policy"]
    assert client.get(f"/inbox/{mail_id}/source").get_data().startswith(b"From: ")


def test_the_demo_page_is_on_by_default_in_development(start_app: StartApp) -> None:
    assert "ORD-12345" in start_app().test_client().get("/").get_data(as_text=True)


def test_the_demo_page_can_be_switched_off(start_app: StartApp) -> None:
    assert start_app(DEMO_PAGE="false").test_client().get("/").status_code == 404


def test_health_returns_healthy(start_app: StartApp) -> None:
    response = start_app().test_client().get("/health")
    assert (response.status_code, response.get_json()) == (200, {"status": "healthy", "version": VERSION})


@pytest.mark.parametrize(
    ("data", "content_type", "status", "detail"),
    [
        ("{", "application/json", 400, "not JSON"),
        ('{"total": NaN}', "application/json", 400, "NaN"),
        ('{"a": 1, "a": 2}', "application/json", 400, "twice"),
        (b"\xff\xfe", "application/json", 400, "UTF-8"),
        ("[" * 100_000, "application/json", 400, "nested too deep"),
        ("1" * 5000, "application/json", 400, "too many digits"),
        ('{"total": 1e99999999999999999999}', "application/json", 400, "too large"),
        ("{}", "text/plain", 415, "Content-Type: application/json"),
        ("[]", "application/json", 422, "1 error"),
        ("{}", "application/json", 422, "4 errors"),
        ('"' + "x" * 1_100_000 + '"', "application/json", 413, "larger than 1 MiB"),
    ],
)
def test_a_bad_body_is_a_problem_that_says_what_to_do(
    start_app: StartApp, data: str | bytes, content_type: str, status: int, detail: str
) -> None:
    response = start_app().test_client().post(URL, data=data, content_type=content_type)
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    body = response.get_json()
    assert body["status"] == status
    assert body["type"].startswith("urn:orderconfirm:problem:")
    assert detail in body["detail"]


def test_every_error_has_a_pointer_and_nothing_is_stored(start_app: StartApp) -> None:
    client = start_app().test_client()
    response = client.post(URL, json=make_body(total="x", notes=5, items=[{"name": "A", "quantity": 0, "price": -1}]))
    pointers = [error["pointer"] for error in response.get_json()["errors"]]
    assert pointers == ["/items/0/price", "/items/0/quantity", "/notes", "/total"]
    assert client.get(f"{URL}/ORD-12345").status_code == 404


def test_a_total_that_does_not_add_up_is_a_warning_by_default(start_app: StartApp) -> None:
    response = start_app().test_client().post(URL, json=make_body(total=100))
    assert response.status_code == 202
    assert "119.97" in response.get_json()["warnings"][0] and "100.00" in response.get_json()["warnings"][0]


def test_an_unknown_currency_is_a_warning(start_app: StartApp) -> None:
    response = start_app().test_client().post(URL, json=make_body(currency="uds"))
    assert response.status_code == 202
    assert response.get_json()["warnings"] == [
        "currency UDS is unknown: the mail shows it as a code, with two decimals. USD may be meant."
    ]


def test_strict_totals_refuse_a_total_that_does_not_add_up(start_app: StartApp) -> None:
    response = start_app(STRICT_TOTALS="true").test_client().post(URL, json=make_body(total=100))
    assert response.status_code == 422
    [error] = response.get_json()["errors"]
    assert error["pointer"] == "/total" and error["detail"].startswith("must equal the sum of the parts, 119.97 USD:")


def test_unknown_fields_are_ignored_and_listed(start_app: StartApp) -> None:
    body = make_body(loyalty=1)
    body["customer"]["vip"] = True
    response = start_app().test_client().post(URL, json=body)
    assert sorted(response.get_json()["ignored_fields"]) == ["/customer/vip", "/loyalty"]


def test_a_405_lists_the_allowed_methods(start_app: StartApp) -> None:
    response = start_app().test_client().put(URL, json={})
    assert response.status_code == 405
    assert "POST" in response.headers["Allow"]


def test_ready_and_metrics_report_the_counts_of_the_outbox(start_app: StartApp, sink: tuple[Sink, int]) -> None:
    mailbox, port = sink
    mailbox.replies["RCPT"] = ["550 5.1.1 no such user"]
    client = start_app(**relay_variables(port)).test_client()
    client.post(URL, json=make_body())
    status_in(client.application, "ORD-12345", "failed")
    ready = client.get("/ready")
    assert ready.status_code == 200
    assert ready.get_json() == {
        "status": "ready",
        "reason": None,
        "relay": "in use",
        "pauses": [],
        "senders": 1,
        "outbox": "open",
        "pending": 0,
        "max_pending": 100_000,
        "mails": {"failed": 1},
        "oldest_due_seconds": 0.0,
        "possible_copies": 0,
    }
    metrics = client.get("/metrics")
    assert metrics.content_type.startswith("text/plain")
    for line in ('orderconfirm_mails{state="failed"} 1.0', "orderconfirm_relay_paused 0.0", "orderconfirm_senders 1.0"):
        assert line in metrics.get_data(as_text=True).splitlines()


def test_a_paused_relay_is_explained(start_app: StartApp, sink: tuple[Sink, int]) -> None:
    mailbox, port = sink
    mailbox.replies["MAIL"] = ["535 5.7.8 no access for john@example.com"] * 5
    client = start_app(**relay_variables(port)).test_client()
    client.post(URL, json=make_body(order_id="P1"))
    wait_until(lambda: client.get("/ready").get_json()["pauses"])
    ready = client.get("/ready")
    [pause] = ready.get_json()["pauses"]
    assert (ready.status_code, ready.get_json()["relay"]) == (200, "paused")
    assert pause["reason"] == "mail: 535 5.7.8 no access for …@example.com"
    assert pause["since"] <= pause["next_try_at"]
    assert pause["advice"] == (
        "compare MAIL_USERNAME and MAIL_PASSWORD with the relay's account, and its limits if the reply names one"
    )
    assert f"What to do: {pause['advice']}".replace("'", "&#39;") in client.get("/outbox").get_data(as_text=True)
    waiting = client.get(f"{URL}/P1").get_json()["waiting"]
    assert waiting.startswith("the relay has been paused since ") and pause["reason"] in waiting
    waited = client.post(URL, json=make_body(order_id="P2"), headers={"Prefer": "wait=1"}).get_json()
    assert waited["message"].startswith("Order confirmation queued; the relay has been paused since ")
    assert "orderconfirm_relay_paused 1.0" in client.get("/metrics").get_data(as_text=True).splitlines()


def test_a_service_that_is_not_started_is_not_ready() -> None:
    app = create_app(Settings.from_env({"DATABASE_URL": "sqlite:////nowhere/outbox.db"}))
    assert app.test_client().get("/ready").status_code == 503
    metrics = app.test_client().get("/metrics").get_data(as_text=True).splitlines()
    assert "orderconfirm_database_up 0.0" in metrics
    assert not any(line.startswith("orderconfirm_senders") for line in metrics)
