"""The canonical form: different notations of one order have the same fingerprint."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from factories import body_of, make_body, make_full_order

from orderconfirm.order.models import Address, Item
from orderconfirm.order.schemas import OrderSchema, load_order
from orderconfirm.order.serialization import canonical, differences, encode, fingerprint, to_order

DEFAULTS = {"currency": "USD", "locale": "en"}
NOW = datetime(2025, 4, 1, tzinfo=UTC)
ITEM = {"name": "Case", "quantity": 2, "price": Decimal("19.99")}


def canonical_form(body: dict[str, Any]) -> dict[str, Any]:
    """Return the canonical form of a body, decoded from the text that the outbox stores."""
    form: dict[str, Any] = json.loads(encode(canonical(load_order(OrderSchema(), body)[0])))
    return form


def fingerprint_of(**changes: Any) -> str:
    return fingerprint(canonical_form(make_body(**changes)))


def test_an_order_with_every_field_is_restored_completely() -> None:
    order = make_full_order()
    assert to_order(canonical_form(body_of(order)), {}, NOW) == order


def test_an_order_is_restored_from_the_notations_of_shops() -> None:
    body = make_body(
        items=[{**ITEM, "product_id": 7, "line_total": 39}],
        discount=-4,
        shipping_cost="4.90",
        shipping_address="2 Low St\nParis",
        currency="eur",
        order_date="2025-03-15T15:30:00+01:00",
    )
    order = to_order(canonical_form(body), DEFAULTS, NOW)
    assert order.items == (Item("Case", Decimal(2), Decimal("19.99"), product_id="7", line_total=Decimal("39.00")),)
    assert (order.discount, order.shipping_cost, order.currency) == (Decimal(4), Decimal("4.90"), "EUR")
    assert order.shipping_address == Address(("2 Low St", "Paris"))
    assert order.order_date == datetime(2025, 3, 15, 14, 30, tzinfo=UTC)


def test_defaults_and_the_time_of_acceptance_replace_absent_values() -> None:
    order = to_order(canonical_form(make_body(order_date=None)), DEFAULTS, NOW)
    assert (order.currency, order.locale, order.order_date) == ("USD", "en", NOW)
    assert (order.discount, order.billing_address, order.adjustments) == (None, None, ())


def test_times_are_in_the_time_zone_of_the_order() -> None:
    body = make_body(timezone="America/New_York", estimated_delivery="2025-03-20T12:00:00Z")
    order = to_order(canonical_form(body), DEFAULTS, NOW)
    assert order.order_date == datetime(2025, 3, 15, 14, 30, tzinfo=UTC)
    assert order.order_date.utcoffset() == timedelta(hours=-4)
    assert order.estimated_delivery is not None
    assert order.estimated_delivery.utcoffset() == timedelta(hours=-4)


def test_input_that_is_not_canonical_is_refused() -> None:
    form = canonical_form(make_body())
    del form["total"]
    with pytest.raises(TypeError, match="total"):
        to_order(form, DEFAULTS, NOW)
    with pytest.raises(KeyError):
        to_order({**canonical_form(make_body()), "customer": {"nickname": "J"}}, DEFAULTS, NOW)
    with pytest.raises(ValueError, match="isoformat"):
        to_order({**canonical_form(make_body()), "order_date": "soon"}, DEFAULTS, NOW)


def test_amounts_have_no_exponent_and_times_have_their_offset() -> None:
    assert canonical({"a": Decimal("1E+3"), "b": (Decimal("0.50"), NOW), "c": None, "d": True}) == {
        "a": "1000",
        "b": ["0.50", "2025-04-01T00:00:00+00:00"],
        "c": None,
        "d": True,
    }


def test_the_encoded_form_is_sorted_without_blanks_and_in_plain_unicode() -> None:
    assert encode({"b": "é", "a": [1, {"d": None, "c": True}]}) == '{"a":[1,{"c":true,"d":null}],"b":"é"}'


def test_the_order_of_keys_does_not_change_the_fingerprint() -> None:
    body = make_body()
    reordered = {name: body[name] for name in reversed(body)}
    reordered["customer"] = dict(reversed(body["customer"].items()))
    reordered["items"] = [dict(reversed(item.items())) for item in body["items"]]
    assert list(reordered) != list(body)
    assert fingerprint(canonical_form(reordered)) == fingerprint(canonical_form(body))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"total": Decimal("79.9")}, {"total": "79.90"}),
        ({"total": 119.97}, {"total": Decimal("119.97000000000001")}),
        ({"order_id": 12345}, {"order_id": "12345"}),
        ({"order_id": "A1"}, {"order_id": "  A1 "}),
        ({"shipping_method": "Express"}, {"shipping_method": " Express\n"}),
        ({"order_date": "2025-03-15T14:30:00Z"}, {"order_date": "2025-03-15T14:30:00+00:00"}),
        ({"order_date": "2025-03-15T14:30:00Z"}, {"order_date": "2025-03-15 14:30:00"}),
        ({"currency": "usd"}, {"currency": "USD"}),
        ({"discount": -5}, {"discount": "5.00"}),
        ({"notes": None}, {"notes": ""}),
        ({}, {"notes": None, "shipping_address": {}, "unknown_field": 1}),
        ({"shipping_address": "1 High St\nParis"}, {"shipping_address": {"lines": ["1 High St", "", "Paris"]}}),
        ({"items": [ITEM]}, {"items": [{**ITEM, "quantity": "2.000", "price": "19.990", "name": " Case"}]}),
    ],
)
def test_two_notations_of_one_order_have_the_same_fingerprint(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert fingerprint_of(**one) == fingerprint_of(**other)


@pytest.mark.parametrize(
    "change",
    [
        {"order_id": "ORD-12346"},
        {"total": "119.98"},
        {"shipping_method": None},
        {"currency": "CAD"},
        {"order_date": "2025-03-15T14:30:01Z"},
        {"items": [ITEM]},
        {"tax_included": False},
        {"notes": "hello"},
    ],
)
def test_a_different_order_has_a_different_fingerprint(change: dict[str, Any]) -> None:
    assert fingerprint_of(**change) != fingerprint_of()


def test_the_sequence_of_the_items_is_part_of_the_fingerprint() -> None:
    assert fingerprint_of(items=list(reversed(make_body()["items"]))) != fingerprint_of()


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({}, []),
        ({"total": "1.00"}, ["/total"]),
        ({"notes": "new", "shipping_method": None}, ["/notes", "/shipping_method"]),
        (
            {"customer": {"name": "J", "email": "j@example.com"}},
            [f"/customer/{n}" for n in ("address", "email", "name", "phone")],
        ),
        ({"items": [ITEM]}, ["/items"]),
        ({"items": [make_body()["items"][0], {**make_body()["items"][1], "price": 20}]}, ["/items/1/price"]),
        ({"shipping_address": "x"}, ["/shipping_address"]),
    ],
)
def test_differences_are_reported_as_pointers(change: dict[str, Any], pointers: list[str]) -> None:
    assert differences(canonical_form(make_body()), canonical_form(make_body(**change))) == pointers
    assert differences(canonical_form(make_body(**change)), canonical_form(make_body())) == pointers


@pytest.mark.parametrize(
    ("delivery", "timezone", "day"),
    [
        ("2025-03-20", "America/New_York", 20),
        ("2025-03-20T00:00:00Z", "America/New_York", 20),
        ("2025-03-19T23:00:00Z", "Europe/Berlin", 20),
        ("2025-03-20T02:00:00Z", "America/New_York", 19),
    ],
)
def test_a_day_without_a_time_is_the_same_day_in_every_zone(delivery: str, timezone: str, day: int) -> None:
    request = canonical(load_order(OrderSchema(), make_body(estimated_delivery=delivery, timezone=timezone))[0])
    order = to_order(request, {"currency": "USD", "locale": "en"}, datetime.now(UTC))
    assert order.estimated_delivery is not None and order.estimated_delivery.day == day
