"""The merchant's copy of an order, from the request to the envelope that a real SMTP server takes."""

from __future__ import annotations

import hmac
import json
import re
from collections import Counter
from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as default_policy
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest
from conftest import relay_variables
from factories import make_body
from flask import Flask
from flask.testing import FlaskClient
from processes import free_port, kill, post, query, service, start, wait_until, wait_until_healthy
from smtp_server import Sink, smtp_server

from orderconfirm import create_app
from orderconfirm.settings import Settings

URL = "/api/order-confirmation"
CUSTOMER, MERCHANT = "john.doe@example.com", "sales@acme.example"
SECRET = "0123456789abcdef0123456789abcdef"
StartApp = Callable[..., Flask]


def mail_to(sink: Sink, recipient: str) -> EmailMessage:
    [source] = [mail for mail, each in zip(sink.mails, sink.recipients, strict=True) if each == recipient]
    return cast(EmailMessage, message_from_bytes(source, policy=default_policy))


def detail_of(app: Flask, order_id: str = "ORD-12345") -> dict[str, Any]:
    return cast(dict[str, Any], app.test_client().get(f"{URL}/{order_id}").get_json())


def wait_for_copy(app: Flask, state: str, order_id: str = "ORD-12345") -> dict[str, Any]:
    """The status of an order once its copy is in this state and its mail is sent."""

    def detail() -> dict[str, Any] | None:
        found = detail_of(app, order_id)
        return found if (found["state"], found["merchant_copy"]["state"]) == ("sent", state) else None

    return cast(dict[str, Any], wait_until(detail, 20))


def sent_of_both(client: FlaskClient) -> tuple[int, int]:
    """The numbers of sent mails and of sent copies in the metrics."""
    text = client.get("/metrics").get_data(as_text=True)
    names = ("orderconfirm_sends_total", "orderconfirm_merchant_copies_total")
    mails, copies = (re.search(rf'^{name}{{outcome="sent"}} (\d+)', text, re.MULTILINE) for name in names)
    assert mails and copies
    return int(mails[1]), int(copies[1])


def test_the_merchant_gets_an_envelope_of_its_own_once(
    start_app: StartApp, sink: tuple[Sink, int], tmp_path: Path
) -> None:
    mailbox, port = sink
    app = start_app(**relay_variables(port, MERCHANT_COPY_TO=MERCHANT, MAILTRAP_WEBHOOK_SECRET=SECRET))
    client = app.test_client()
    before = sent_of_both(client)
    assert client.post(URL, json=make_body()).status_code == 202
    found = wait_for_copy(app, "sent")
    mail, copy = mail_to(mailbox, CUSTOMER), mail_to(mailbox, MERCHANT)
    assert copy["Subject"] == f"[Copy] {mail['Subject']}" == "[Copy] Order ORD-12345 confirmed"
    assert copy["To"] == f'"Acme, Inc." <{MERCHANT}>'
    assert copy["Reply-To"] == CUSTOMER
    for name in ("From", "Auto-Submitted", "X-Auto-Response-Suppress", "Content-Language"):
        assert copy[name] == mail[name] is not None
    for part in ("plain", "html"):
        [of_copy, of_mail] = [cast(EmailMessage, each.get_body((part,))).get_content() for each in (copy, mail)]
        assert of_copy == of_mail
    own = found["merchant_copy"]
    assert copy["Message-ID"] == own["message_id"] != mail["Message-ID"] == found["message_id"]
    assert [each["event"] for each in found["history"]] == [each["event"] for each in own["history"]] == ["sent"]
    assert "order_id" not in json.loads(copy["X-MT-Custom-Variables"])

    # It is no order: neither a list nor a count has it, and neither a repetition nor a resend causes another one.
    assert client.post(URL, json=make_body()).status_code == 200
    assert client.post(f"{URL}/ORD-12345/resend", json={}).status_code == 202
    wait_for_copy(app, "sent")
    assert Counter(mailbox.recipients) == {CUSTOMER: 2, MERCHANT: 1}
    assert len(client.get("/api/order-confirmations").get_json()["orders"]) == 2
    # The counts are those of all tests in this process.
    wait_until(lambda: sent_of_both(client) == (before[0] + 2, before[1] + 1))

    # A bounce of the copy is the copy's: the customer's mail and address stay as they were.
    variables = json.loads(copy["X-MT-Custom-Variables"])
    event = {"event": "bounce", "event_id": "e1", "timestamp": 4e9, "email": MERCHANT, "custom_variables": variables}
    body = json.dumps({"events": [event]}).encode()
    signed = {"Mailtrap-Signature": hmac.new(SECRET.encode(), body, sha256).hexdigest()}
    hook = client.post("/api/webhooks/mailtrap", data=body, headers=signed, content_type="application/json")
    assert hook.get_json()["new"] == 1
    found = detail_of(app)
    assert (found["delivery"], found["deliveries"]) == (None, [])
    assert (found["merchant_copy"]["delivery"], len(found["merchant_copy"]["deliveries"])) == ("bounced", 1)
    confirmations = app.extensions["orderconfirm"].confirmations
    assert confirmations.suppressions.page(None, None, 9)[0] == []
    page = client.get("/outbox/default/ORD-12345").get_data(as_text=True)
    assert "Merchant’s copy: Sent" in page and MERCHANT in page
    commands = create_app(Settings.from_env({"DATABASE_URL": f"sqlite:///{tmp_path}/outbox.db"})).test_cli_runner()
    shown = commands.invoke(args=["outbox", "show", "ORD-12345"]).output
    assert f"merchant copy   sent/bounced to {MERCHANT}\n" in shown
    assert "copy  sent           end_of_data 250" in shown


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        ("550 5.1.1 no such user", "failed"),
        ("554 5.7.1 rejected by policy", "queued"),
        ("550 5.7.1 Sending from domain acme.example is not allowed", "queued"),
        ("421 4.3.2 closing the connection", "queued"),
    ],
)
def test_a_refused_copy_leaves_the_customers_mails_sent_and_the_relay_running(
    start_app: StartApp, sink: tuple[Sink, int], reply: str, state: str
) -> None:
    mailbox, port = sink
    mailbox.refused[MERCHANT] = reply
    app = start_app(**relay_variables(port, MERCHANT_COPY_TO=MERCHANT, MAIL_RETRY_DELAYS="600"))
    names = [f"K{number}" for number in range(4)]
    for name in names:
        assert app.test_client().post(URL, json=make_body(order_id=name)).status_code == 202

    def has_refused() -> bool:
        return all(detail_of(app, name)["merchant_copy"]["reason"] for name in names)

    wait_until(has_refused, 20)
    found = [wait_for_copy(app, state, name) for name in names]
    assert all(each["reason"] is None and reply in each["merchant_copy"]["reason"] for each in found)
    assert mailbox.recipients == [CUSTOMER] * len(names)
    overview = app.extensions["orderconfirm"].confirmations.overview()
    assert (list(overview.pauses), overview.stats.pending, overview.stats.mails) == ([], 0, {})


def test_a_kill_loses_no_copy(tmp_path: Path) -> None:
    variables = {"MERCHANT_COPY_TO": MERCHANT, "MAIL_MAX_CONNECTIONS": "1"}
    sink = Sink()
    sink.held_at = "DOT"
    with smtp_server(sink=sink) as (_, relay_port):
        process = start(tmp_path, port := free_port(), relay_port, **variables)
        wait_until_healthy(port, process)
        assert {post(port, f"K{number}") for number in range(3)} == {202}
        assert sink.reached.wait(40)
        kill(process)
        assert query(tmp_path, "SELECT state, count(*) FROM merchant_copies GROUP BY state") == [("queued", 3)]
        sink.held_at = None
        with service(tmp_path, free_port(), relay_port, **variables):
            wait_until(lambda: query(tmp_path, "SELECT 1 FROM merchant_copies WHERE state = 'sent'") == [(1,)] * 3, 30)
    # The customer's mail in flight may have arrived twice.
    assert Counter(sink.recipients)[MERCHANT] == 3
    assert Counter(sink.recipients)[CUSTOMER] in (3, 4)
