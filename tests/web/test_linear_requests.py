"""The cost of request lines and headers: four times the length costs about four times the CPU time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from flask.testing import FlaskClient
from growth import TEXTS, expect_linear, repeated

from orderconfirm import create_app
from orderconfirm.settings import Settings

#: The length of a long header: a server joins those of one name.
HEADER = 16_000


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    """Of a service that asks for a key and knows callers by X-Forwarded-For; nothing is stored or sent."""
    settings = Settings.from_env({"API_KEYS": "shop:a-long-random-key", "TRUSTED_PROXIES": "1"})
    return create_app(settings).test_client()


KEY = {"X-API-Key": "a-long-random-key"}


#: What a server lets through in a request line or a header.
LINES = {name: text for name, text in TEXTS.items() if text(400).isascii() and text(400).isprintable()}


_callers = count()


def stranger() -> dict[str, str]:
    """The headers of a caller without a key who has not called before: one who has is made to wait."""
    return {"X-Forwarded-For": f"10.0.0.{next(_callers)}"}


@pytest.mark.parametrize("headers", [lambda: KEY, stranger], ids=["with a key", "without a key"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/order-confirmation/{}"),
        ("POST", "/api/order-confirmation/{}/resend"),
        ("POST", "/api/order-confirmation/{}/cancel"),
        ("GET", "/api/order-confirmation/{}/cancel"),
        ("GET", "/{}"),
        ("GET", "/inbox/{}/html"),
        ("GET", "/docs/assets/{}"),
        ("GET", "/static/{}"),
    ],
)
def test_a_path_is_routed_and_answered_in_linear_time(
    client: FlaskClient, method: str, path: str, headers: Callable[[], dict[str, str]]
) -> None:
    def ask(words: str) -> object:
        return client.open(method=method, headers=headers(), environ_overrides={"PATH_INFO": path.format(words)})

    expect_linear(ask, LINES, HEADER)


@pytest.mark.parametrize(
    "header",
    [
        *("Accept", "Accept-Encoding", "Authorization", "Content-Encoding", "Content-Type", "Cookie", "Host"),
        *("Idempotency-Key", "If-None-Match", "Mailtrap-Signature", "Origin", "Prefer", "Range", "X-API-Key"),
        *("X-CSRFToken", "X-Forwarded-For", "X-Request-ID"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/order-confirmation/preview"),
        ("GET", "/api/order-confirmations"),
        ("POST", "/demo/orders"),
        ("GET", "/openapi.json"),
        ("GET", "/"),
    ],
)
def test_a_header_is_read_in_linear_time(client: FlaskClient, method: str, path: str, header: str) -> None:
    def ask(words: str) -> object:
        return client.open(path, method=method, headers={**stranger(), **KEY, header: words}, json={})

    expect_linear(ask, LINES, HEADER)


@pytest.mark.parametrize("query", ["{}", "email={}", "since={}", "a={}", "{}=&email=a@b.example"])
def test_a_query_string_is_read_in_linear_time(client: FlaskClient, query: str) -> None:
    def ask(words: str) -> object:
        return client.get("/api/order-confirmations", query_string=query.format(words), headers=KEY)

    expect_linear(ask, {**LINES, "fields": repeated("a=1&b=2&"), "escapes": repeated("%20")}, HEADER)
