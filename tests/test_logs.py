"""Logs as JSON lines, without the addresses that relays repeat."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from orderconfirm.logs import JsonFormatter, mask_addresses, shortened


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("550 5.1.1 <john.doe@example.com>: no such user", "550 5.1.1 <…@example.com>: no such user"),
        ("o'brien@example.com", "…@example.com"),
        ('"john doe"@example.com refused', "…@example.com refused"),
        ("a@x.example, b@y.example", "…@x.example, …@y.example"),
        ("user+tag=1@example.com", "…@example.com"),
        ("no address @ all", "no address @ all"),
        ("o'brien@example.com'jane@example.com", "…@example.com…@example.com"),
        (
            '{"reason": "<john@example.com>", "by": "jane@example.com"}',
            '{"reason": "<…@example.com>", "by": "…@example.com"}',
        ),
        (r'{"reason": "\"john doe\"@example.com"}', '{"reason": "…@example.com"}'),
        ("", ""),
    ],
)
def test_an_address_is_reduced_to_its_domain(text: str, masked: str) -> None:
    assert mask_addresses(text) == masked


def test_a_record_is_one_json_object_with_its_extras_and_no_address() -> None:
    record = logging.makeLogRecord(
        {"name": "n", "levelname": "INFO", "msg": "mail %s", "args": ("sent",), "reason": '"john doe"@example.com\n'}
    )
    line = JsonFormatter().format(record)
    assert "\n" not in line
    told = json.loads(line)
    assert (told["event"], told["logger"], told["reason"]) == ("mail sent", "n", "…@example.com\n")


@pytest.mark.parametrize("text", ["@", "@shop", 'a "@', '"@shop" "a"@b.example'])
def test_a_line_is_json_whatever_stands_in_it(text: str) -> None:
    line = json.loads(JsonFormatter().format(logging.makeLogRecord({"msg": "%s", "args": (text,), "order_id": text})))
    assert line["event"] == line["order_id"] == mask_addresses(text)


def test_a_long_value_is_cut_before_an_address_that_could_not_be_masked_any_more() -> None:
    text = "a " * 1990 + "john.doe-with-a-long-name@example.com"
    line = json.loads(JsonFormatter().format(logging.makeLogRecord({"reason": text})))
    assert line["reason"] == "a " * 1989 + "a…"
    assert shortened("x" * 5000, 4000) == "…"


def test_numbers_stay_numbers() -> None:
    line = json.loads(JsonFormatter().format(logging.makeLogRecord({"code": 550, "seconds": 0.5})))
    assert (line["code"], line["seconds"]) == (550, 0.5)


def test_a_line_that_is_logged_for_a_request_names_it(start_app: Callable[..., Flask]) -> None:
    lines: list[dict[str, Any]] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(json.loads(JsonFormatter().format(record)))  # type: ignore[method-assign]
    logger = logging.getLogger("orderconfirm.web.auth")
    logger.addHandler(handler)
    try:
        client = start_app(API_KEYS="shop:a-long-random-key").test_client()
        answers = [client.get("/api/order-confirmations", headers=named) for named in ({"X-Request-ID": "abc-1"}, {})]
        logger.warning("afterwards")
    finally:
        logger.removeHandler(handler)
    assert [line.get("request_id") for line in lines] == ["abc-1", answers[1].headers["X-Request-ID"], None]
