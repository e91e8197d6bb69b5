"""An order's mail in a Mailtrap sandbox: sent by the service, read back by Mailtrap's client.

With the variables named in `sandbox.py` it is Mailtrap's own sandbox, else the stand-in.
"""

from __future__ import annotations

import json
import os
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, cast
from uuid import uuid4

import pytest
from factories import make_body
from flask import Flask
from mailtrap import AuthorizationError
from processes import wait_until
from sandbox import IDS, Reader, Received, Sandbox
from stand_in import stand_in

from orderconfirm import create_app
from orderconfirm.settings import Settings

URL = "/api/order-confirmation"
SHOP = {
    "COMPANY_NAME": "Acme, Inc.",
    "EMAIL_SENDER": "orders@acme.example",
    "SUPPORT_EMAIL": "help@acme.example",
}
#: What both parts say of the order in examples/order.json.
FACTS = ("Wireless Headphones", "$79.99", "Phone Case", "$19.99", "$39.98", "Total", "$119.97", "Express")


@dataclass(frozen=True)
class Sent:
    """An order whose mail is out, and that mail in the sandbox."""

    order_id: str
    message_id: str
    received: Received


@pytest.fixture(scope="module", params=["mailtrap" if any(map(os.environ.get, IDS)) else "stand-in"])
def sandbox(request: pytest.FixtureRequest, server_tls: ssl.SSLContext, ca_file: str) -> Iterator[Sandbox]:
    if request.param == "mailtrap":
        yield Sandbox.from_env(os.environ)
    else:
        with stand_in(server_tls, ca_file) as (sandbox, _):
            yield sandbox


@pytest.fixture(scope="module")
def sent(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    """One mail for all tests, since a sandbox takes few a second. It is deleted at the end."""
    folder = tmp_path_factory.mktemp("outbox")
    app = create_app(Settings.from_env({"DATABASE_URL": f"sqlite:///{folder}/outbox.db", **SHOP, **sandbox.relay}))
    reader, order_id = Reader(sandbox), new_order_id()
    try:
        status = send(app, order_id)
        assert status["state"] == "sent", status["reason"]
        yield Sent(order_id, status["message_id"], reader.read(order_id))
    finally:
        reader.delete(order_id)


def new_order_id() -> str:
    return f"IT{uuid4().hex}"


def send(app: Flask, order_id: str) -> dict[str, Any]:
    """Run the service until the order's mail is out or has failed, for 30 s at most; returns the order's status."""
    service = app.extensions["orderconfirm"]
    service.start()
    try:
        place(app, order_id)
        with suppress(AssertionError):  # the status says more
            wait_until(lambda: status_of(app, order_id)["state"] in ("sent", "failed"), seconds=30)
        return status_of(app, order_id)
    finally:
        service.stop()


def place(app: Flask, order_id: str) -> None:
    """The sample order under this id, for Anna."""
    customer = {"name": "Anna Björk", "email": "anna@customer.example"}
    answer = app.test_client().post(URL, json=make_body(order_id=order_id, customer=customer))
    assert answer.status_code == 202, answer.get_json()


def status_of(app: Flask, order_id: str) -> dict[str, Any]:
    return cast(dict[str, Any], app.test_client().get(f"{URL}/{order_id}").get_json())


def refused(app: Flask, order_id: str) -> dict[str, Any] | None:
    """The status of an order that waits after a try."""
    status = status_of(app, order_id)
    return status if status["state"] == "queued" and status["history"] else None


def test_the_mail_is_listed_under_its_subject_for_its_recipient(sent: Sent) -> None:
    message = sent.received.message
    assert message["subject"] == f"Order {sent.order_id} confirmed"
    assert message["to_email"] == "anna@customer.example"
    assert (message["from_name"], message["from_email"]) == ("Acme, Inc.", "orders@acme.example")


def test_the_html_part_has_the_whole_order(sent: Sent) -> None:
    html = sent.received.html
    assert "<table" in html
    for fact in (*FACTS, sent.order_id):
        assert fact in html, fact


def test_the_text_part_has_the_whole_order_row_by_row(sent: Sent) -> None:
    text = sent.received.text
    assert "<" not in text
    for fact in (*FACTS, sent.order_id):
        assert fact in text, fact
    rows = {tuple(re.split(r"\s{2,}", line.strip())) for line in text.splitlines()}
    assert {("Wireless Headphones", "$79.99"), ("Phone Case", "$39.98"), ("Total", "$119.97")} <= rows


def test_both_parts_keep_their_letters_and_signs_on_the_way(sent: Sent) -> None:
    source = sent.received.source
    assert source.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in source.iter_parts()] == ["text/plain", "text/html"]
    for subtype in ("plain", "html"):
        part = cast(EmailMessage, source.get_body((subtype,))).get_content()
        assert "Hello Anna Björk," in part and "2 × $19.99" in part, subtype
    assert source["To"].addresses[0].display_name == "Anna Björk"


def test_the_headers_that_answers_machines_and_mailtrap_read_are_there(sent: Sent) -> None:
    headers = sent.received.headers
    assert headers["message-id"].strip("<>") == sent.message_id.strip("<>")
    assert headers["reply-to"] == "help@acme.example"
    assert headers["auto-submitted"] == "auto-generated"
    assert headers["x-mt-category"] == "order-confirmation"
    variables = {"order_id": sent.order_id, "shop": "default", "message_id": sent.message_id}
    told = json.loads(headers["x-mt-custom-variables"])
    assert told.pop("mail_id").isdigit() and told == variables


def test_the_spam_filter_lets_the_mail_pass(sent: Sent) -> None:
    spam = sent.received.spam
    assert not spam.spam and spam.score < spam.threshold, spam


def test_with_a_wrong_password_the_mail_waits_and_none_is_taken(
    server_tls: ssl.SSLContext, ca_file: str, start_app: Callable[..., Flask], log: list[str]
) -> None:
    with stand_in(server_tls, ca_file) as (sandbox, sink):
        order_id = new_order_id()
        sink.password = "another"
        app = start_app(**SHOP, **sandbox.relay, MAIL_LOGIN_PAUSE="1")
        place(app, order_id)
        waiting = wait_until(lambda: refused(app, order_id))
        assert waiting["reason"] == "auth: 535 5.7.0 Invalid credentials"
        assert waiting["attempts"] == 0
        assert log == ["the relay is paused"]
        assert not sink.messages
        sink.password = sandbox.relay["MAIL_PASSWORD"]
        assert Reader(sandbox).read(order_id).message["to_email"] == "anna@customer.example"


def test_with_a_wrong_token_nothing_is_shown(server_tls: ssl.SSLContext, ca_file: str) -> None:
    with stand_in(server_tls, ca_file) as (sandbox, _):
        stranger = Sandbox(sandbox.relay, "wrong", sandbox.account_id, sandbox.sandbox_id, sandbox.api_host)
        with pytest.raises(AuthorizationError, match="Incorrect API token"):
            Reader(stranger).find("IT")
