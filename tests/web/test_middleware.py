"""The request id and the headers that every response has."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from callers import LIST, URL, place, wait_for
from conftest import relay_variables
from flask import Flask
from flask.testing import FlaskClient
from smtp_server import Sink

from orderconfirm.response_headers import DEFAULT_HEADERS, FIXED_HEADERS


@pytest.fixture
def client(sink: tuple[Sink, int], start_app: Callable[..., Flask]) -> FlaskClient:
    return start_app(**relay_variables(sink[1])).test_client()


def test_a_caller_s_request_id_is_kept(client: FlaskClient) -> None:
    assert client.get("/health", headers={"X-Request-ID": "abc-1"}).headers["X-Request-ID"] == "abc-1"


@pytest.mark.parametrize("request_id", ["", "a b", "x" * 200, "ü"])
def test_a_request_id_that_cannot_be_logged_is_replaced(client: FlaskClient, request_id: str) -> None:
    assert len(client.get("/health", headers={"X-Request-ID": request_id}).headers["X-Request-ID"]) == 32


@pytest.mark.parametrize("path", [f"{URL}/1", LIST, f"{URL}/nobody", "/health", "/nowhere", "/api/webhooks/mailtrap"])
def test_every_api_response_has_the_security_and_cache_headers(client: FlaskClient, path: str) -> None:
    place(client, "1")
    headers = client.get(path).headers
    for name, value in {**FIXED_HEADERS, **DEFAULT_HEADERS}.items():
        assert headers[name] == value


def test_the_fixed_headers_are_these() -> None:
    assert FIXED_HEADERS == {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


def test_a_page_keeps_the_fixed_headers_and_has_a_policy_of_its_own(client: FlaskClient) -> None:
    headers = client.get("/docs").headers
    assert FIXED_HEADERS.items() <= dict(headers).items()
    assert headers["Content-Security-Policy"] != DEFAULT_HEADERS["Content-Security-Policy"]


def test_a_response_without_a_body_has_no_content_type(client: FlaskClient) -> None:
    place(client, "1")
    wait_for(client, "1", "sent")
    response = client.delete(f"{URL}/1")
    assert (response.status_code, response.get_data()) == (204, b"")
    assert "Content-Type" not in response.headers
