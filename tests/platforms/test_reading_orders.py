"""The platforms' orders in this service's schema: every mail's sums equal what the customer paid."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from orderconfirm.metrics.table import WEBHOOKS
from orderconfirm.order.json_body import parse_json
from orderconfirm.order.models import Order
from orderconfirm.order.schemas import DefaultCurrency, OrderSchema, load_order
from orderconfirm.order.serialization import canonical, to_order
from orderconfirm.order.totals import add_up
from orderconfirm.platforms import FORMATS, Found, Nothing, Outcome, Unreadable

FIXTURES = Path(__file__).parent / "fixtures"
CASES = sorted(path.relative_to(FIXTURES).with_suffix("").as_posix() for path in FIXTURES.rglob("*.json"))
TOPICS = {"woocommerce": "order.updated", "shopify": "orders/paid", "saleor": "order_fully_paid"}


def read(case: str) -> tuple[Order, dict[str, Any]]:
    """Return the order of a fixture, and what is expected of it."""
    name = case.partition("/")[0]
    fixture = parse_json((FIXTURES / f"{case}.json").read_bytes())
    reading = FORMATS[name].read(TOPICS.get(name, ""), fixture["body"], True)
    assert isinstance(reading, Found), reading
    with DefaultCurrency("USD"):
        body, _ = load_order(OrderSchema(), reading.order)
    defaults: dict[str, object] = {"currency": "USD", "locale": "en"}
    return to_order(canonical(body), defaults, datetime.now(UTC)), fixture["expected"]


@pytest.mark.parametrize("case", CASES)
def test_the_sums_equal_what_the_customer_paid(case: str) -> None:
    order, expected = read(case)
    totals = add_up(order)
    assert order.total == Decimal(expected["total"])
    assert order.currency == expected["currency"]
    assert not totals.difference
    assert sum(row.amount for row in totals.rows) in (order.total, 0)
    assert [f"{row.kind} {row.amount}" for row in (*totals.rows, *totals.included)] == expected["rows"]


@pytest.mark.parametrize("case", CASES)
def test_the_order_says_who_ordered_and_what(case: str) -> None:
    order, expected = read(case)
    assert order.order_id == expected["order_id"]
    assert order.customer.email == expected["email"]
    assert order.customer.name == expected["name"]
    assert [item.name for item in order.items] == expected["items"]


#: Of each format: a value that must not be there, in place of the order or of one of its parts.
HOSTILE: list[Any] = [None, [], "text", 7, True, {"id": {}}, {"id": [1]}, {"order": []}, {"data": "x"}]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("body", HOSTILE, ids=json.dumps)
def test_a_body_of_another_shape_is_unreadable_and_never_an_error(name: str, body: Any) -> None:
    topics = {"woocommerce": "order.created", "shopify": "orders/create", "saleor": "order_created"}
    if name == "stripe":
        body = {"type": "invoice.paid", "data": {"object": body}}
    try:
        reading = FORMATS[name].read(topics.get(name, ""), body, False)
    except Unreadable:
        return
    assert isinstance(reading, Nothing) or name == "standard"


@pytest.mark.parametrize("case", CASES)
def test_a_part_of_another_shape_is_unreadable_or_left_out(case: str) -> None:
    name = case.partition("/")[0]
    body = parse_json((FIXTURES / f"{case}.json").read_bytes())["body"]
    holder = body["order"] if name == "saleor" else body["data"]["object"] if name == "stripe" else body
    for field, given in list(holder.items()):
        for value in (None, [], [None], {}, "x", -1, "9" * 50, "1e99999", "NaN", True):
            holder[field] = value
            with suppress(Unreadable):
                FORMATS[name].read(TOPICS.get(name, ""), body, True)
        holder[field] = given
    assert isinstance(FORMATS[name].read(TOPICS.get(name, ""), body, True), Found)


@pytest.mark.parametrize("status", ["pending", "checkout-draft", "cancelled", "refunded", "failed", "trash", None])
def test_a_woocommerce_order_that_nobody_paid_waits(status: str | None) -> None:
    reading = FORMATS["woocommerce"].read("order.created", {"id": 9, "status": status}, False)
    assert isinstance(reading, Nothing)
    assert reading.outcome is Outcome.NOT_DUE
    assert reading.order_id == "9"


def test_a_woocommerce_order_on_hold_is_due_unless_only_paid_ones_are() -> None:
    order = {"id": 9, "status": "on-hold"}
    assert isinstance(FORMATS["woocommerce"].read("order.created", order, False), Found)
    assert isinstance(FORMATS["woocommerce"].read("order.created", order, True), Nothing)


def test_a_signed_error_of_woocommerce_is_named() -> None:
    error = {"code": "woocommerce_rest_cannot_view", "message": "Sorry", "data": {"status": 401}}
    with pytest.raises(Unreadable, match="woocommerce_rest_cannot_view"):
        FORMATS["woocommerce"].read("order.created", error, False)


def test_the_test_button_of_shopify_mails_nobody() -> None:
    reading = FORMATS["shopify"].read("orders/create", {"id": 820982911946154508}, False)
    assert isinstance(reading, Nothing)
    assert reading.outcome is Outcome.TEST


@pytest.mark.parametrize(
    ("name", "topic"), [("woocommerce", "order.deleted"), ("woocommerce", ""), ("shopify", "products/update")]
)
def test_another_topic_is_no_order(name: str, topic: str) -> None:
    reading = FORMATS[name].read(topic, {"id": 9}, False)
    assert isinstance(reading, Nothing)
    assert reading.outcome is Outcome.OTHER_TOPIC


def test_every_outcome_of_a_signed_webhook_is_counted() -> None:
    assert set(WEBHOOKS.known) == {each.value for each in Outcome} - {Outcome.PING.value}
