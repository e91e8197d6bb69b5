"""The sums in a mail: what the customer reads adds up, whatever the shop sent."""

from __future__ import annotations

from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from factories import make_order

from orderconfirm.order.models import Adjustment, Item, Order
from orderconfirm.order.totals import add_up, describe_difference


def line(price: str, quantity: str = "1", total: str | None = None) -> Item:
    return Item("Thing", Decimal(quantity), Decimal(price), line_total=None if total is None else Decimal(total))


def order_of(total: str, *items: Item, adjust: str | None = None, currency: str = "USD", **amounts: Any) -> Order:
    """An order with amounts given as text."""
    adjustments = (Adjustment("Gift card", Decimal(adjust)),) if adjust else ()
    read = {name: Decimal(value) if isinstance(value, str) else value for name, value in amounts.items()}
    return make_order(total=Decimal(total), items=items, adjustments=adjustments, currency=currency, **read)


def rows(order: Order) -> dict[str, str]:
    return {row.kind: str(row.amount) for row in add_up(order).rows}


def included(order: Order) -> dict[str, str]:
    return {row.kind: str(row.amount) for row in add_up(order).included}


@pytest.mark.parametrize("tax_included", [None, True, False])
@pytest.mark.parametrize("own_line_total", [None, "90.00", "100.00"])
def test_the_rows_sum_to_the_total_whatever_the_shop_sent(
    own_line_total: str | None, tax_included: bool | None
) -> None:
    totals_sent = ("0", "85.00", "100.01", "119.00", "500.00")
    for total, discount, tax, adjust in product(totals_sent, (None, "10.00"), (None, "19.00"), (None, "5.00", "-5.00")):
        order = order_of(
            total,
            line("100.00", total=own_line_total),
            discount=discount,
            tax=tax,
            tax_included=tax_included,
            shipping_cost="4.90",
            adjust=adjust,
        )
        totals = add_up(order)
        assert sum(row.amount for row in totals.rows) == order.total
        kinds = [row.kind for row in (*totals.rows, *totals.included)]
        for kind, amount in (("discount", discount), ("tax", tax)):
            assert kinds.count(kind) == (amount is not None)


def test_an_order_of_lines_alone_needs_no_rows() -> None:
    totals = add_up(make_order())
    assert (totals.rows, totals.included, totals.difference) == ((), (), 0)
    assert totals.parts == Decimal("119.97")


def test_all_parts_stand_in_reading_order() -> None:
    order = order_of("111.00", line("100.00"), discount="10.00", shipping_cost="5.00", tax="18.00", adjust="-2.00")
    assert [row.kind for row in add_up(order).rows] == ["subtotal", "discount", "shipping", "adjustment", "tax"]
    assert rows(order)["discount"] == "-10.00"
    assert add_up(order).rows[3].label == "Gift card"


def test_tax_is_added_when_that_fits() -> None:
    order = order_of("119.00", line("100.00"), tax="19.00")
    assert rows(order) == {"subtotal": "100.00", "tax": "19.00"}
    assert included(order) == {}


def test_tax_is_inside_the_prices_when_only_that_fits() -> None:
    order = order_of("119.00", line("119.00"), tax="19.00")
    assert (rows(order), included(order)) == ({}, {"tax": "19.00"})


def test_tax_included_keeps_the_tax_inside_even_when_the_total_does_not_fit() -> None:
    order = order_of("119.00", line("100.00"), tax="19.00", tax_included=True)
    assert rows(order) == {"subtotal": "100.00", "other": "19.00"}
    assert included(order) == {"tax": "19.00"}


def test_tax_not_included_is_added_even_when_the_total_does_not_fit() -> None:
    order = order_of("119.00", line("119.00"), tax="19.00", tax_included=False)
    assert rows(order) == {"subtotal": "119.00", "tax": "19.00", "other": "-19.00"}


def test_a_tax_of_zero_is_no_row() -> None:
    order = order_of("105.00", line("100.00"), tax="0.00", shipping_cost="5.00")
    assert rows(order) == {"subtotal": "100.00", "shipping": "5.00"}
    assert included(order) == {}


def test_free_shipping_is_a_row_when_the_shop_says_so() -> None:
    assert rows(order_of("100.00", line("100.00"), shipping_cost="0.00")) == {"subtotal": "100.00", "shipping": "0.00"}


def test_a_discount_is_inside_line_totals_when_only_that_fits() -> None:
    order = order_of("90.00", line("100.00", total="90.00"), discount="10.00")
    assert (rows(order), included(order)) == ({}, {"discount": "10.00"})


def test_a_discount_beside_line_totals_comes_off_when_that_fits() -> None:
    order = order_of("80.00", line("100.00", total="90.00"), discount="10.00")
    assert rows(order) == {"subtotal": "90.00", "discount": "-10.00"}


def test_discount_and_tax_may_both_be_inside_the_line_totals() -> None:
    order = order_of("94.90", line("100.00", total="90.00"), discount="10.00", tax="14.37", shipping_cost="4.90")
    assert rows(order) == {"subtotal": "90.00", "shipping": "4.90"}
    assert included(order) == {"discount": "10.00", "tax": "14.37"}


def test_a_discount_is_never_inside_lines_that_are_price_times_quantity() -> None:
    order = order_of("100.00", line("100.00", total="100.00"), discount="10.00")
    assert rows(order) == {"subtotal": "100.00", "discount": "-10.00", "other": "10.00"}


@pytest.mark.parametrize(
    ("total", "currency", "kind"),
    [
        ("200.02", "USD", "rounding"),
        ("199.98", "USD", "rounding"),
        ("200.03", "USD", "other"),
        ("199.97", "USD", "other"),
        ("202", "JPY", "rounding"),
        ("203", "JPY", "other"),
        ("200.002", "KWD", "rounding"),
        ("200.003", "KWD", "other"),
    ],
)
def test_one_minor_unit_a_line_is_rounding_and_more_is_a_difference(total: str, currency: str, kind: str) -> None:
    order = order_of(total, line("100"), line("100"), currency=currency)
    totals = add_up(order)
    assert totals.rows[-1].kind == kind
    assert totals.rows[-1].amount == Decimal(total) - 200
    assert totals.difference == (Decimal(total) - 200 if kind == "other" else 0)
    assert totals.parts == 200


def test_a_difference_is_described_with_both_sums_and_what_to_send() -> None:
    order = order_of("129.99", line("100.00"))
    told = describe_difference(order, add_up(order))
    assert told is not None
    for words in ("129.99 USD", "100.00", "29.99", "`adjustments`", "`tax_included`"):
        assert words in told


@pytest.mark.parametrize("total", ["100.00", "100.01", "99.99"])
def test_an_order_that_adds_up_has_nothing_to_describe(total: str) -> None:
    order = order_of(total, line("100.00"))
    assert describe_difference(order, add_up(order)) is None
