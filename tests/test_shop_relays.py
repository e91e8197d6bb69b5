"""Two shops in one service, each with a relay of its own: real relays, and a real outbox."""

from __future__ import annotations

import hmac
import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from conftest import relay_variables
from factories import make_body
from flask import Flask
from flask.testing import FlaskClient
from processes import wait_until
from smtp_server import PASSWORD, USER, Sink, smtp_server

from orderconfirm.checks.findings import Status
from orderconfirm.checks.run import run_checks

KEYS = {"fjord": "key-of-fjord-0123456789", "kiln": "key-of-kiln-0123456789", "plain": "key-of-plain-0123456789"}
WEBHOOK_SECRET = "secret-of-the-mailtrap-webhook"
FJORD = """
name = "Fjord & Field"
sender = "Fjord & Field <orders@fjord.example>"
locale = "de"
brand_color = "#2e5e4e"
"""
KILN = """
name = "Kiln"
sender = "orders@kiln.example"
locale = "fr"
"""
RELAY = """
[relay]
server = "localhost"
port = {port}
username = "{user}"
password_file = "{password}"
ca_file = "{ca_file}"
max_connections = 2
"""

Start = Callable[..., Flask]


@pytest.fixture
def relays(server_tls: ssl.SSLContext) -> Iterator[dict[str, tuple[Sink, int]]]:
    """The relays of the service, of fjord and of kiln."""
    with smtp_server() as common, smtp_server(server_tls) as fjord, smtp_server(server_tls) as kiln:
        yield {"": common, "fjord": fjord, "kiln": kiln}


@pytest.fixture
def service(relays: dict[str, tuple[Sink, int]], start_app: Start, tmp_path: Path, ca_file: str) -> Flask:
    folder = tmp_path / "shops"
    folder.mkdir()
    for name, profile in (("fjord", FJORD), ("kiln", KILN)):
        password = tmp_path / f"password-of-{name}"
        password.write_text(PASSWORD)
        relay = RELAY.format(port=relays[name][1], user=USER, password=password, ca_file=ca_file)
        (folder / f"{name}.toml").write_text(profile + relay)
    variables = {
        "SHOPS_DIR": str(folder),
        "API_KEYS": ",".join(f"{shop}:{key}" for shop, key in KEYS.items()),
        "MAILTRAP_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "MAIL_LOGIN_PAUSE": "1",
        "OUTBOX_PAGE": "true",
    }
    return start_app(**relay_variables(relays[""][1], **variables))


def place(client: FlaskClient, shop: str, order_id: str, **changes: Any) -> None:
    headers = {"Authorization": f"Bearer {KEYS[shop]}"}
    body = make_body(order_id=order_id, **changes)
    body.pop("locale", None)
    assert client.post("/api/order-confirmation", json=body, headers=headers).status_code == 202


def status(client: FlaskClient, shop: str, order_id: str) -> Any:
    return client.get(f"/api/order-confirmation/{order_id}", headers={"Authorization": f"Bearer {KEYS[shop]}"}).json


def mail_of(relay: tuple[Sink, int]) -> EmailMessage:
    [raw] = relay[0].wait_for(1)
    return message_from_bytes(raw, policy=policy.default)  # type: ignore[return-value]


def variables_of(service: Flask) -> dict[str, str]:
    settings = service.extensions["orderconfirm"].settings
    return relay_variables(settings.mail_port, SHOPS_DIR=settings.shops_dir, DATABASE_URL=settings.database_url)


@contextmanager
def refused_login(sink: Sink) -> Iterator[None]:
    sink.password = "another"
    yield
    sink.password = PASSWORD


def test_each_shop_has_its_own_relay_sender_brand_and_language(
    service: Flask, relays: dict[str, tuple[Sink, int]]
) -> None:
    client = service.test_client()
    for shop in KEYS:
        place(client, shop, "1")
    fjord, kiln, plain = (mail_of(relays[name]) for name in ("fjord", "kiln", ""))
    assert [each["From"] for each in (fjord, kiln)] == [
        "Fjord & Field <orders@fjord.example>",
        "Kiln <orders@kiln.example>",
    ]
    assert "acme.example" in plain["From"]
    assert [each["Message-ID"].rpartition("@")[2] for each in (fjord, kiln)] == ["fjord.example>", "kiln.example>"]
    assert [each["Content-Language"] for each in (fjord, kiln, plain)] == ["de", "fr", "en"]
    html = fjord.get_body(("html",))
    assert html is not None and "#2e5e4e" in html.get_content()
    assert relays["fjord"][0].logins == relays["kiln"][0].logins == [(USER.encode(), PASSWORD.encode())]


def test_a_relay_that_refuses_the_login_of_one_shop_stops_no_other(
    service: Flask, relays: dict[str, tuple[Sink, int]]
) -> None:
    client = service.test_client()
    with refused_login(relays["fjord"][0]):
        place(client, "fjord", "F1")
        wait_until(lambda: client.get("/readyz").json["pauses"])  # type: ignore[index]
        place(client, "fjord", "F2")
        for number in range(5):
            place(client, "kiln", f"K{number}")
            place(client, "plain", f"K{number}")
        relays["kiln"][0].wait_for(5)
        relays[""][0].wait_for(5)
        assert status(client, "fjord", "F1")["state"] == "queued"
        assert status(client, "fjord", "F1")["attempts"] == 0
        assert status(client, "fjord", "F2")["waiting"].startswith("the relay of fjord has been paused since")
        ready = client.get("/readyz")
        assert ready.status_code == 200
        [pause] = ready.json["pauses"]  # type: ignore[index]
        assert pause["account"] == "fjord"
        assert pause["advice"].startswith("compare relay.username and relay.password_env with the relay's account")
    assert len(relays["fjord"][0].wait_for(2)) == 2
    wait_until(lambda: client.get("/readyz").json["pauses"] == [])  # type: ignore[index]
    assert len(relays["fjord"][0].mails) == 2


def test_a_shop_with_a_large_backlog_leaves_connections_to_the_others_of_its_account(
    start_app: Start, sink: tuple[Sink, int]
) -> None:
    keys = ",".join(f"{shop}:{key}" for shop, key in KEYS.items())
    service = start_app(**relay_variables(sink[1], API_KEYS=keys, MAIL_MAX_CONNECTIONS="1"))
    client = service.test_client()
    sink[0].held_at = "MAIL"
    for number in range(40):
        place(client, "fjord", f"F{number}")
    place(client, "kiln", "K1")
    sink[0].held_at = None
    before = [b"Order K1 confirmed" in mail for mail in sink[0].wait_for(41)].index(True)
    assert before < 12


def test_orders_lists_and_suppressions_of_shops_do_not_mix(service: Flask, relays: dict[str, tuple[Sink, int]]) -> None:
    client = service.test_client()
    place(client, "fjord", "1")
    place(client, "kiln", "1")
    for shop in ("fjord", "kiln"):
        relays[shop][0].wait_for(1)
        wait_until(lambda shop=shop: status(client, shop, "1")["state"] == "sent")
    ids = {"order_id": "1", "shop": "fjord"}
    event = {"event": "bounce", "event_id": "e1", "timestamp": 1742000000, "custom_variables": ids}
    body = json.dumps({"events": [{**event, "email": "john.doe@example.com"}]}).encode()
    signature = hmac.new(WEBHOOK_SECRET.encode(), body, sha256).hexdigest()
    headers = {"Content-Type": "application/json", "Mailtrap-Signature": signature}
    assert client.post("/api/webhooks/mailtrap", data=body, headers=headers).json["new"] == 1  # type: ignore[index]
    assert status(client, "fjord", "1")["delivery"] == "bounced"
    assert status(client, "kiln", "1")["delivery"] is None
    place(client, "fjord", "2")
    place(client, "kiln", "2")
    assert status(client, "fjord", "2")["state"] == "held"
    relays["kiln"][0].wait_for(2)
    assert status(client, "plain", "1")["status"] == 404
    listed = client.get("/api/order-confirmations", headers={"Authorization": f"Bearer {KEYS['fjord']}"}).json
    assert sorted(each["order_id"] for each in listed["orders"]) == ["1", "2"]  # type: ignore[index]


def test_the_check_examines_the_relay_of_each_shop(service: Flask, relays: dict[str, tuple[Sink, int]]) -> None:
    with refused_login(relays["fjord"][0]):
        sections = run_checks(variables_of(service), Path("/nowhere/.env"), subjects=())
        found = {section.title: section.findings for section in sections}
    [refused] = [each for each in found["Relay of fjord"] if each.status is Status.ERROR]
    assert refused.name == "login"
    assert refused.advice.startswith("compare relay.username and relay.password_env with the relay's account")
    assert [each.name for each in found["Relay of kiln"] if each.status is Status.OK][-1] == "sender"
    assert not any(PASSWORD in each.found for findings in found.values() for each in findings)
    assert {"Sender's domain of fjord", "Sender's domain of kiln"} < found.keys()
