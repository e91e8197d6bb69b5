"""A log line for each request, which leads from the X-Request-ID of a response to its cause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from callers import URL
from factories import make_body
from flask import Flask
from flask.testing import FlaskClient

KEY = "a-long-random-key"

Lines = list[dict[str, Any]]


@pytest.fixture
def client(start_app: Callable[..., Flask], lines: Lines) -> FlaskClient:
    return start_app(LOG_LEVEL="DEBUG", API_KEYS=f"shop1:{KEY}").test_client()


def ask(
    client: FlaskClient, lines: Lines, method: str, path: str, key: str = "a-long-random-key", **options: Any
) -> Any:
    """Send a request. Return the level, event, and other fields of its line, without those that vary."""
    lines.clear()
    response = client.open(path, method=method, headers={"X-API-Key": key}, **options)
    [line] = [line for line in lines if line["logger"] == "orderconfirm.web.access_log"]
    assert line.pop("request_id") == response.headers["X-Request-ID"]
    assert line.pop("duration_ms") >= 0
    del line["time"], line["logger"]
    return line.pop("level"), line.pop("event"), line


def test_an_accepted_order_and_a_read_one_are_at_debug_level(client: FlaskClient, lines: Lines) -> None:
    ids = {"order_id": "ORD-12345", "shop": "shop1"}
    for status in (202, 200):
        assert ask(client, lines, "POST", URL, json=make_body()) == (
            *("DEBUG", "request handled"),
            {**ids, "method": "POST", "route": URL, "status": status},
        )
    assert ask(client, lines, "GET", f"{URL}/ORD-12345") == (
        *("DEBUG", "request handled"),
        {**ids, "method": "GET", "route": f"{URL}/<order_id:order_id>", "status": 200},
    )
    assert ask(client, lines, "GET", "/health")[0] == "DEBUG"


def test_a_change_is_at_info_level(client: FlaskClient, lines: Lines) -> None:
    ask(client, lines, "POST", URL, json=make_body())
    level, event, line = ask(client, lines, "DELETE", f"{URL}/ORD-12345")
    assert (level, event, line["status"]) == ("INFO", "request handled", 204)


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({"customer": {"name": "Eleonore Quist"}}, ["/customer/email"]),
        ({"order_id": ["Eleonore Quist"], "total": "x"}, ["/order_id", "/total"]),
    ],
)
def test_an_invalid_order_leaves_its_id_and_its_errors_but_not_its_values(
    client: FlaskClient, lines: Lines, changes: dict[str, Any], errors: list[str]
) -> None:
    body = make_body(**changes)
    level, event, line = ask(client, lines, "POST", URL, json=body)
    assert (level, event, line["status"], line["problem"]) == ("INFO", "request refused", 422, "invalid-order")
    assert line["errors"] == errors
    assert line.get("order_id") == (body["order_id"] if isinstance(body["order_id"], str) else None)
    assert "Quist" not in str(lines)


def test_other_refusals_leave_a_line_with_their_problem(client: FlaskClient, lines: Lines) -> None:
    ask(client, lines, "POST", URL, json=make_body())
    found = [
        ask(client, lines, "POST", URL, json=make_body(shipping_method="Standard")),
        ask(client, lines, "POST", URL, key="wrong", json=make_body()),
        ask(client, lines, "POST", URL, data="{"),
        ask(client, lines, "PUT", URL, json={}),
        ask(client, lines, "GET", "/john.doe"),
    ]
    assert [(line["status"], line["problem"], line.get("order_id")) for _, _, line in found] == [
        (409, "order-conflict", "ORD-12345"),
        (401, "unauthorized", None),
        (415, "unsupported-media-type", None),
        (405, "method-not-allowed", None),
        (404, "not-found", None),
    ]
    assert {(level, event) for level, event, _ in found} == {("INFO", "request refused")}
    assert "john.doe" not in str(lines)
