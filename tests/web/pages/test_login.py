"""The login to the outbox's pages: who may see them, for how long, and what a session allows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from callers import place
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from orderconfirm import create_app
from orderconfirm.settings import Settings
from orderconfirm.web.pages import session

KEY, OTHER_KEY = "first-shop-s-long-key", "other-shop-s-long-key"
KEYS = f"first:{KEY},other:{OTHER_KEY}"
SECRET_KEY = "s" * 32
PRODUCTION = {
    "APP_ENV": "production",
    "API_KEYS": KEYS,
    "MAIL_SERVER": "127.0.0.1",
    "MAIL_PORT": "9",
    "MAIL_USE_TLS": "false",
    "EMAIL_SENDER": "orders@shop.example",
    "OUTBOX_PAGE": "true",
    "SECRET_KEY": SECRET_KEY,
}


def token_of(client: FlaskClient, path: str = "/outbox/login", **options: str) -> str:
    """Open a page and return its CSRF token. The client keeps the cookie."""
    match = re.search('name="csrf_token" value="([^"]+)"', client.get(path, **options).get_data(as_text=True))  # type: ignore[arg-type]
    assert match
    return match[1]


def log_in(client: FlaskClient, key: str = KEY, **fields: str) -> TestResponse:
    return client.post("/outbox/login", data={"csrf_token": token_of(client), "key": key, **fields})


def is_asked_to_log_in(client: FlaskClient) -> bool:
    response = client.get("/outbox")
    return response.status_code == 303 and response.headers["Location"].startswith("/outbox/login")


def make_app(folder: Path, **variables: str) -> Flask:
    """An app whose outbox is not open: enough for the login itself."""
    return create_app(Settings.from_env({"DATABASE_URL": f"sqlite:///{folder}/outbox.db", **variables}))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """A service with two shops that sends nothing."""
    app = make_app(tmp_path_factory.mktemp("login"), API_KEYS=KEYS, SENDER="off")
    app.extensions["orderconfirm"].start()
    yield app
    app.extensions["orderconfirm"].stop()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser without a cookie."""
    return app.test_client()


def test_without_api_keys_there_is_no_login(tmp_path: Path) -> None:
    assert make_app(tmp_path).test_client().get("/outbox/login").status_code == 404


def test_production_has_no_page_unless_it_is_requested(tmp_path: Path) -> None:
    client = make_app(tmp_path, **{**PRODUCTION, "OUTBOX_PAGE": ""}).test_client()
    assert [client.get(path).status_code for path in ("/outbox", "/outbox/login")] == [404, 404]


def test_with_api_keys_every_page_asks_for_a_login_and_then_shows_what_was_asked_for(client: FlaskClient) -> None:
    for path in ("/outbox?state=failed", "/outbox/first/ORD-12345%3F", "/outbox/first/a/b?part=html"):
        asked = client.get(path)
        assert asked.status_code == 303
        page = client.get(asked.headers["Location"]).get_data(as_text=True)
        target = re.search('name="next" value="([^"]+)"', page)
        assert target and target[1] == path
    assert log_in(client, next="/outbox?state=failed").headers["Location"] == "/outbox?state=failed"
    assert client.get("/outbox?state=failed").status_code == 200


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/outbox.evil.example", "/docs", ""])
def test_the_login_leads_to_no_other_page(client: FlaskClient, target: str) -> None:
    assert log_in(client, next=target).headers["Location"] == "/outbox"


def test_a_change_without_a_login_does_nothing(client: FlaskClient) -> None:
    place(client, "kept", headers={"X-API-Key": KEY})
    response = client.post("/outbox/first/kept", data={"do": "erase", "csrf_token": token_of(client)})
    assert response.status_code == 303 and response.headers["Location"].startswith("/outbox/login")
    assert client.get("/api/order-confirmation/kept", headers={"X-API-Key": KEY}).status_code == 200


@pytest.mark.parametrize("key", ["", "wrong-key-of-some-length", KEY.upper()])
def test_a_wrong_key_is_refused_and_named_in_no_response(client: FlaskClient, key: str, log: list[str]) -> None:
    response = log_in(client, key)
    assert response.status_code == 401
    page = response.get_data(as_text=True)
    assert "This is not an API key of this service." in page and (not key or key not in page)
    assert log == ["request without a valid API key"]
    assert is_asked_to_log_in(client)


def test_in_production_the_cookie_is_for_this_site_only_and_tells_nothing_about_the_key(tmp_path: Path) -> None:
    client = make_app(tmp_path, **PRODUCTION).test_client()
    site = "https://orders.shop.example"
    token = token_of(client, base_url=site)
    response = client.post("/outbox/login", data={"csrf_token": token, "key": KEY}, base_url=site)
    assert response.status_code == 303
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(response.headers["Set-Cookie"].split("; "))
    with client.session_transaction(base_url=site) as cookie:
        stored = str(dict(cookie))
    digests = [key.digest for key in client.application.extensions["orderconfirm"].settings.api_keys]
    assert not any(secret in stored for secret in (KEY, *digests))
    for file in ("outbox.css", "style.css", "outbox.js", "morph.js"):
        with client.get(f"/static/{file}", base_url=site) as response:
            assert response.status_code == 200


class TestToken:
    @pytest.mark.parametrize("token", [None, "", "forged"])
    def test_a_form_of_another_site_can_neither_log_in_nor_out(self, client: FlaskClient, token: str | None) -> None:
        token_of(client)
        data = {"key": KEY} | ({"csrf_token": token} if token is not None else {})
        assert client.post("/outbox/login", data=data).status_code == 403
        assert is_asked_to_log_in(client)
        log_in(client)
        response = client.post("/outbox/logout", data=data)
        assert response.status_code == 403 and response.mimetype == "text/html"
        assert not is_asked_to_log_in(client)

    @pytest.mark.parametrize("path", ["/outbox/first/1", "/outbox/retry"])
    def test_a_form_of_another_site_can_change_nothing(self, client: FlaskClient, path: str) -> None:
        assert place(client, "1", headers={"X-API-Key": KEY}).status_code in (200, 202)
        log_in(client)
        for data in ({"do": "erase", "state": "failed"}, {"do": "erase", "state": "failed", "csrf_token": "forged"}):
            assert client.post(path, data=data).status_code == 403
        assert client.get("/api/order-confirmation/1", headers={"X-API-Key": KEY}).status_code == 200


class TestEnd:
    def test_logging_out_ends_the_session(self, client: FlaskClient) -> None:
        log_in(client)
        assert not is_asked_to_log_in(client)
        client.post("/outbox/logout", data={"csrf_token": token_of(client, "/outbox")})
        assert is_asked_to_log_in(client)

    def test_a_login_ends_after_its_time(self, client: FlaskClient) -> None:
        log_in(client)
        with client.session_transaction() as cookie:
            cookie["until"] -= session.LOGIN_SECONDS + 1
        assert is_asked_to_log_in(client)

    def test_a_session_outlives_a_restart_and_ends_with_its_key(self, tmp_path: Path) -> None:
        first = make_app(tmp_path, API_KEYS=KEYS, SECRET_KEY=SECRET_KEY).test_client()
        log_in(first)
        cookie = first.get_cookie("orderconfirm")
        assert cookie
        for keys, secret_key, is_ended in (
            (f"other:{OTHER_KEY},first:{KEY}", SECRET_KEY, False),
            (f"other:{OTHER_KEY},first:{'n' * 20}", SECRET_KEY, True),
            (f"other:{KEY}", SECRET_KEY, True),
            (KEYS, "t" * 32, True),
        ):
            client = make_app(tmp_path, API_KEYS=keys, SECRET_KEY=secret_key).test_client()
            client.set_cookie("orderconfirm", cookie.value)
            response = client.get("/outbox/login")
            assert (response.status_code == 200) == is_ended


class TestShops:
    @pytest.fixture
    def client(self, client: FlaskClient) -> FlaskClient:
        """Both shops have an order 1, and each has one of its own."""
        for key, mine, email in ((KEY, "only-first", "a@first.example"), (OTHER_KEY, "only-other", "b@other.example")):
            customer = {"name": "Ann", "email": email}
            for order_id in ("1", mine):
                place(client, order_id, {"X-API-Key": key}, customer=customer)
        log_in(client)
        return client

    @pytest.mark.parametrize(
        "query", ["", "?q=1", "?q=only-other", "?q=b@other.example", "?state=queued", "?q=1&shop=other"]
    )
    def test_a_list_has_no_order_of_another_shop(self, client: FlaskClient, query: str) -> None:
        page = client.get(f"/outbox{query}").get_data(as_text=True)
        assert "b@other.example" not in page.replace('value="b@other.example"', "")
        assert "/outbox/other/" not in page

    @pytest.mark.parametrize("path", ["other/1", "other/only-other", "first/only-other", "other/unknown"])
    def test_an_order_of_another_shop_is_as_unknown_as_one_that_does_not_exist(
        self, client: FlaskClient, path: str
    ) -> None:
        token = token_of(client, "/outbox/first/1")
        unknown = client.get("/outbox/first/unknown")
        assert unknown.status_code == 404
        for response in (
            *(client.get(f"/outbox/{path}{query}") for query in ("", "?part=html", "?part=live", "?do=erase")),
            *(
                client.post(f"/outbox/{path}", data={"do": action, "csrf_token": token})
                for action in ("retry", "resend", "cancel", "erase")
            ),
        ):
            assert response.status_code == 404
            assert response.get_data(as_text=True) == unknown.get_data(as_text=True)
        status = client.get("/api/order-confirmation/only-other", headers={"X-API-Key": OTHER_KEY})
        assert (status.get_json()["state"], status.get_json()["history"]) == ("queued", [])
