"""The compose page: its orders need a CSRF token but no key, and production has no such page."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from factories import make_body
from flask import Flask
from flask.testing import FlaskClient

from orderconfirm import create_app
from orderconfirm.settings import ROOT, Settings
from orderconfirm.web import problem_types

ORDERS = "/demo/orders"
API = "/api/order-confirmation"
KEY = "first-shop-s-long-key"
KEYS = f"first:{KEY},other:other-shop-s-long-key"
StartApp = Callable[..., Flask]


def token_of(client: FlaskClient) -> dict[str, str]:
    """Open the page and return the header with its token. The client keeps the cookie."""
    page = client.get("/").get_data(as_text=True)
    match = re.search('<meta name="csrf-token" content="([^"]+)">', page)
    assert match
    return {"X-CSRFToken": match[1]}


def assert_out_of_date(response: Any) -> None:
    assert response.content_type == problem_types.MIMETYPE
    assert (response.status_code, response.get_json()) == (403, problem_types.CSRF_TOKEN.example)
    assert "Reload the page" in response.get_json()["detail"]


class TestToken:
    @pytest.fixture
    def client(self, start_app: StartApp) -> FlaskClient:
        return start_app().test_client()

    def test_the_token_allows_to_place_an_order_and_read_its_state(self, client: FlaskClient) -> None:
        token = token_of(client)
        placed = client.post(ORDERS, json=make_body(order_id="A/1 ä"), headers=token)
        assert (placed.status_code, placed.get_json()["message"]) == (202, "Order confirmation queued")
        status = client.get(f"{ORDERS}/A%2F1%20%C3%A4", headers=token)
        assert (status.status_code, status.get_json()["message_id"]) == (200, placed.get_json()["message_id"])
        assert status.headers["Cache-Control"] == "no-store"

    def test_the_token_allows_to_preview_a_mail_and_nothing_is_stored(self, client: FlaskClient) -> None:
        preview = client.post(f"{ORDERS}/preview", json=make_body(), headers=token_of(client))
        assert (preview.status_code, "John Doe" in preview.get_json()["html"]) == (200, True)
        assert_out_of_date(client.post(f"{ORDERS}/preview", json=make_body()))
        assert client.get(f"{API}/ORD-12345").status_code == 404

    def test_orders_of_the_page_are_validated_as_in_the_api(self, client: FlaskClient) -> None:
        token = token_of(client)
        responses = [
            client.post(ORDERS, headers=token, **body)
            for body in ({"json": make_body(total="x")}, {"data": "{}", "content_type": "text/plain"})
        ]
        assert [response.get_json()["type"] for response in responses] == [
            problem_types.INVALID_ORDER.type,
            problem_types.UNSUPPORTED.type,
        ]

    @pytest.mark.parametrize("token", [{}, {"X-CSRFToken": ""}, {"X-CSRFToken": "forged"}])
    def test_without_a_token_no_order_is_placed_or_shown(self, client: FlaskClient, token: dict[str, str]) -> None:
        token_of(client)
        assert_out_of_date(client.post(ORDERS, json=make_body(), headers=token))
        assert_out_of_date(client.get(f"{ORDERS}/ORD-12345", headers=token))
        assert client.get(f"{API}/ORD-12345").status_code == 404

    def test_a_token_is_refused_without_its_cookie(self, client: FlaskClient) -> None:
        token = token_of(client)
        other = client.application.test_client()
        assert_out_of_date(other.post(ORDERS, json=make_body(), headers=token))
        token_of(other)
        assert_out_of_date(other.post(ORDERS, json=make_body(), headers=token))

    def test_a_page_from_before_a_restart_must_be_reloaded(self, client: FlaskClient) -> None:
        token = token_of(client)
        client.application.secret_key = "another process's"
        assert_out_of_date(client.post(ORDERS, json=make_body(), headers=token))
        assert client.post(ORDERS, json=make_body(), headers=token_of(client)).status_code == 202

    def test_two_tabs_of_one_browser_both_have_valid_tokens(self, client: FlaskClient) -> None:
        for token in [token_of(client), token_of(client)]:
            assert client.get(f"{ORDERS}/unknown", headers=token).status_code == 404

    def test_only_the_demo_page_sets_the_cookie_and_only_for_this_site(self, client: FlaskClient) -> None:
        cookie = client.get("/").headers["Set-Cookie"]
        assert cookie.startswith("orderconfirm=")
        assert {"HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
        for path in ("/inbox", "/docs", f"{API}/unknown", ORDERS):
            assert "Set-Cookie" not in client.get(path).headers


class TestWithKeys:
    def test_the_page_places_orders_for_the_first_shop(self, start_app: StartApp) -> None:
        client = start_app(API_KEYS=KEYS, DEMO_PAGE="true").test_client()
        assert client.post(ORDERS, json=make_body(), headers=token_of(client)).status_code == 202
        assert client.get(f"{API}/ORD-12345", headers={"X-API-Key": KEY}).status_code == 200
        assert client.get(f"{API}/ORD-12345", headers={"X-API-Key": "other-shop-s-long-key"}).status_code == 404

    def test_the_token_is_not_an_api_key(self, start_app: StartApp) -> None:
        client = start_app(API_KEYS=KEYS, DEMO_PAGE="true").test_client()
        assert client.post(API, json=make_body(), headers=token_of(client)).status_code == 401

    def test_the_page_is_limited_by_the_shop_s_rate(self, start_app: StartApp) -> None:
        client = start_app(API_KEYS=KEYS, DEMO_PAGE="true", API_RATE_LIMIT="2/1m").test_client()
        token = token_of(client)
        statuses = [client.get(f"{ORDERS}/unknown", headers=token).status_code for _ in range(3)]
        assert statuses == [404, 404, 429]

    @pytest.mark.parametrize(("keys", "has_key"), [(KEYS, True), ("", False)])
    def test_the_inbox_shows_the_key_header_if_there_are_keys(
        self, start_app: StartApp, keys: str, has_key: bool
    ) -> None:
        client = start_app(API_KEYS=keys, DEMO_PAGE="true").test_client()
        page = client.get("/inbox").get_data(as_text=True)
        assert "curl -X POST" in page and ("X-API-Key" in page) == has_key
        assert KEY not in page


class TestWithoutDemoPage:
    @pytest.mark.parametrize(
        "variables",
        [
            {"DEMO_PAGE": "false"},
            {"API_KEYS": KEYS},
            {"MAIL_SERVER": "smtp.example", "EMAIL_SENDER": "orders@shop.example"},
            {
                "APP_ENV": "production",
                "API_KEYS": KEYS,
                "MAILTRAP_API_TOKEN": "t",
                "EMAIL_SENDER": "orders@shop.example",
            },
        ],
    )
    def test_the_page_is_not_found_and_no_cookie_can_be_signed(self, variables: dict[str, str]) -> None:
        app = create_app(Settings.from_env({**variables, "OUTBOX_PAGE": "false"}))
        client = app.test_client()
        assert [client.get("/").status_code, client.post(ORDERS, json=make_body()).status_code] == [404, 404]
        assert app.secret_key is None

    def test_flask_wtf_is_not_imported(self) -> None:
        program = (
            "import sys; from orderconfirm import create_app; from orderconfirm.settings import Settings;"
            "create_app(Settings(demo_page=False, outbox_page=False)); sys.exit('flask_wtf' in sys.modules)"
        )
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
