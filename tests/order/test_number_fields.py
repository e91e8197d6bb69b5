"""Amounts and quantities of an order: how they are read, and their limits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from factories import make_body
from loaded_orders import errors, item, load

from orderconfirm.order.schemas import DefaultCurrency, OrderSchema, load_order


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (119.97000000000001, "119.97"),
        (Decimal("119.96999999999999"), "119.97"),
        ("119.97", "119.97"),
        (" +119.9 ", "119.90"),
        (120, "120.00"),
        (0, "0.00"),
        (Decimal("1.2E+2"), "120.00"),
        (999999999999, "999999999999.00"),
    ],
)
def test_an_amount_is_read_exactly_but_for_float_noise(said: Any, read: str) -> None:
    assert str(load(total=said)["total"]) == read


NO_NUMBER = 'must be a number, or a string like "79.90" with a dot and no thousands separator'


@pytest.mark.parametrize(
    "said",
    [
        True,
        False,
        "",
        "79,90",
        "1,000.00",
        "1e5",
        "٣",
        "１２",
        "$5",
        "NaN",
        "1" * 30,
        [],
        {},
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
    ],
)
@pytest.mark.parametrize("place", ["total", "quantity", "price"])
def test_what_is_no_number_is_never_taken_for_one(said: Any, place: str) -> None:
    if place == "total":
        assert errors(total=said) == {"/total": NO_NUMBER}
    else:
        assert errors(**item(**{place: said})) == {f"/items/0/{place}": NO_NUMBER}


@pytest.mark.parametrize("huge", [Decimal("1e400"), Decimal("1e999999"), 10**12, 10**400, 1e300, "1" * 20])
def test_a_huge_number_is_a_fault_and_costs_nothing(huge: Any) -> None:
    told = errors(total=huge, discount=huge, **item(quantity=huge, price=huge, line_total=huge))
    pointers = ["/discount", "/items/0/line_total", "/items/0/price", "/items/0/quantity", "/total"]
    assert told == dict.fromkeys(pointers, "is too large")


@pytest.mark.parametrize("tiny", [Decimal("1e-400"), Decimal("0e-400"), Decimal("1." + "0" * 101)])
def test_a_number_of_hundreds_of_decimals_is_a_fault(tiny: Decimal) -> None:
    assert errors(total=tiny) == {"/total": "must have at most 100 decimals"}


@pytest.mark.parametrize(
    ("currency", "good", "bad"),
    [("USD", "1.23", "1.234"), ("JPY", "123", "123.5"), ("KWD", "1.234", "1.2345"), ("xyz", "1.23", "1.234")],
)
def test_amounts_have_the_decimals_of_their_currency(currency: str, good: str, bad: str) -> None:
    names = ["total", "subtotal", "discount", "shipping_cost", "tax"]
    order = load(currency=currency, **dict.fromkeys(names, good), **item(line_total=good))
    assert [str(order[name]) for name in names] == [good] * 5
    told = errors(
        currency=currency,
        adjustments=[{"label": "Fee", "amount": bad}],
        **dict.fromkeys(names, bad),
        **item(line_total=bad),
    )
    assert told.keys() == {*(f"/{name}" for name in names), "/items/0/line_total", "/adjustments/0/amount"}
    assert set(told.values()) == {
        f"{bad} has more decimals than {currency.upper()} allows ({len(good.partition('.')[2])}): "
        "send the rounded amount that was charged"
    }


def test_an_order_without_a_currency_is_read_in_the_default_one() -> None:
    body = make_body(total="1.234")
    with DefaultCurrency("KWD"):
        assert load_order(OrderSchema(), body)[0]["total"] == Decimal("1.234")
    assert errors(body).keys() == {"/total"}


@pytest.mark.parametrize(
    ("said", "read"),
    [("17.647059", "17.647059"), (17.647058823529413, "17.647059"), (79.9, "79.9"), ("79.90", "79.9"), (0, "0")],
)
def test_a_unit_price_may_have_six_decimals_or_be_a_whole_double(said: Any, read: str) -> None:
    assert str(load(**item(price=said))["items"][0]["price"]) == read


def test_a_unit_price_of_seven_decimals_asks_for_the_line_total() -> None:
    detail = "17.6470588 has more than 6 decimals: send a rounded unit price and the line_total"
    assert errors(**item(price="17.6470588")) == {"/items/0/price": detail}


def test_a_negative_price_is_told_where_coupons_and_refunds_go() -> None:
    detail = "must not be negative: send a coupon as `discount`, a gift card or refund in `adjustments`"
    assert errors(**item(price=-5)) == {"/items/0/price": detail}


@pytest.mark.parametrize("name", ["total", "subtotal", "shipping_cost", "tax"])
def test_other_amounts_must_not_be_negative_either(name: str) -> None:
    assert errors(**{name: "-0.01"}) == {f"/{name}": "must not be negative"}


@pytest.mark.parametrize("said", [5, -5, "-5.00", 5.0])
def test_a_discount_is_what_comes_off_with_or_without_its_sign(said: Any) -> None:
    assert load(discount=said)["discount"] == Decimal("5.00")


def test_an_adjustment_keeps_its_sign() -> None:
    order = load(adjustments=[{"label": "Gift card", "amount": -20}, {"label": "Tip", "amount": "1.5"}])
    assert [str(each["amount"]) for each in order["adjustments"]] == ["-20.00", "1.50"]


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        (0, "must be above 0"),
        ("0.000", "must be above 0"),
        (-1, "must not be negative"),
        ("0.0001", "must have at most 3 decimals"),
    ],
)
def test_a_quantity_is_above_nothing_and_at_most_in_thousandths(said: Any, detail: str) -> None:
    assert errors(**item(quantity=said)) == {"/items/0/quantity": detail}


@pytest.mark.parametrize(
    ("said", "read"), [("1.0000", "1"), (1.5, "1.5"), ("0.125", "0.125"), (Decimal("1E+2"), "100")]
)
def test_a_quantity_is_stored_in_its_shortest_form(said: Any, read: str) -> None:
    assert str(load(**item(quantity=said))["items"][0]["quantity"]) == read
