"""The rows of a mail always add up to its total, whatever amounts the shop sent."""

from __future__ import annotations

from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from factories import make_order

from orderconfirm.order.models import Adjustment, Item, Order
from orderconfirm.order.totals import add_up, describe_difference, line_discount


def line(price: str, quantity: str = "1", total: str | None = None) -> Item:
    return Item("Thing", Decimal(quantity), Decimal(price), line_total=None if total is None else Decimal(total))


def order_of(total: str, *items: Item, adjust: str | None = None, currency: str = "USD", **amounts: Any) -> Order:
    """Return an order whose amounts are given as text."""
    adjustments = (Adjustment("Gift card", Decimal(adjust)),) if adjust else ()
    decimals = {name: Decimal(value) if isinstance(value, str) else value for name, value in amounts.items()}
    return make_order(total=Decimal(total), items=items, adjustments=adjustments, currency=currency, **decimals)


def rows(order: Order) -> dict[str, str]:
    return {row.kind: str(row.amount) for row in add_up(order).rows}


def included(order: Order) -> dict[str, str]:
    return {row.kind: str(row.amount) for row in add_up(order).included}


@pytest.mark.parametrize("tax_included", [None, True, False])
@pytest.mark.parametrize("given_line_total", [None, "90.00", "100.00"])
def test_the_rows_sum_to_the_total_whatever_the_shop_sent(
    given_line_total: str | None, tax_included: bool | None
) -> None:
    given_totals = ("0", "85.00", "100.01", "119.00", "500.00")
    for total, discount, tax, adjust in product(
        given_totals, (None, "10.00"), (None, "19.00"), (None, "5.00", "-5.00")
    ):
        order = order_of(
            total,
            line("100.00", total=given_line_total),
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


def test_an_order_without_other_amounts_has_no_rows() -> None:
    totals = add_up(make_order())
    assert (totals.rows, totals.included, totals.difference) == ((), (), 0)
    assert totals.parts == Decimal("119.97")


def test_all_rows_are_in_reading_order() -> None:
    order = order_of("111.00", line("100.00"), discount="10.00", shipping_cost="5.00", tax="18.00", adjust="-2.00")
    assert [row.kind for row in add_up(order).rows] == ["subtotal", "discount", "shipping", "adjustment", "tax"]
    assert rows(order)["discount"] == "-10.00"
    assert add_up(order).rows[3].label == "Gift card"


def test_tax_is_added_when_that_matches_the_total() -> None:
    order = order_of("119.00", line("100.00"), tax="19.00")
    assert rows(order) == {"subtotal": "100.00", "tax": "19.00"}
    assert included(order) == {}


def test_tax_is_included_in_the_prices_when_only_that_matches_the_total() -> None:
    order = order_of("119.00", line("119.00"), tax="19.00")
    assert (rows(order), included(order)) == ({}, {"tax": "19.00"})


def test_tax_included_true_never_adds_the_tax() -> None:
    order = order_of("119.00", line("100.00"), tax="19.00", tax_included=True)
    assert rows(order) == {"subtotal": "100.00", "other": "19.00"}
    assert included(order) == {"tax": "19.00"}


def test_tax_included_false_always_adds_the_tax() -> None:
    order = order_of("119.00", line("119.00"), tax="19.00", tax_included=False)
    assert rows(order) == {"subtotal": "119.00", "tax": "19.00", "other": "-19.00"}


def test_a_tax_of_zero_is_not_shown() -> None:
    order = order_of("105.00", line("100.00"), tax="0.00", shipping_cost="5.00")
    assert rows(order) == {"subtotal": "100.00", "shipping": "5.00"}
    assert included(order) == {}


def test_free_shipping_is_shown_when_the_shop_sends_it() -> None:
    assert rows(order_of("100.00", line("100.00"), shipping_cost="0.00")) == {"subtotal": "100.00", "shipping": "0.00"}


def test_a_discount_is_included_in_line_totals_when_only_that_matches() -> None:
    order = order_of("90.00", line("100.00", total="90.00"), discount="10.00")
    assert (rows(order), included(order)) == ({}, {"discount": "10.00"})


def test_a_discount_is_subtracted_from_line_totals_when_that_matches() -> None:
    order = order_of("80.00", line("100.00", total="90.00"), discount="10.00")
    assert rows(order) == {"subtotal": "90.00", "discount": "-10.00"}


def test_discount_and_tax_may_both_be_included_in_the_line_totals() -> None:
    order = order_of("94.90", line("100.00", total="90.00"), discount="10.00", tax="14.37", shipping_cost="4.90")
    assert rows(order) == {"subtotal": "90.00", "shipping": "4.90"}
    assert included(order) == {"discount": "10.00", "tax": "14.37"}


def test_a_discount_is_never_included_in_lines_of_price_times_quantity() -> None:
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
def test_one_minor_unit_per_line_is_rounding_and_more_is_a_difference(total: str, currency: str, kind: str) -> None:
    order = order_of(total, line("100"), line("100"), currency=currency)
    totals = add_up(order)
    assert totals.rows[-1].kind == kind
    assert totals.rows[-1].amount == Decimal(total) - 200
    assert totals.difference == (Decimal(total) - 200 if kind == "other" else 0)
    assert totals.parts == 200


def test_a_difference_is_described_with_both_sums_and_a_remedy() -> None:
    order = order_of("129.99", line("100.00"))
    warning = describe_difference(order, add_up(order))
    assert warning is not None
    for words in ("129.99 USD", "100.00", "29.99", "`adjustments`", "`tax_included`"):
        assert words in warning


@pytest.mark.parametrize("total", ["100.00", "100.01", "99.99"])
def test_an_order_that_adds_up_has_no_warning(total: str) -> None:
    order = order_of(total, line("100.00"))
    assert describe_difference(order, add_up(order)) is None


@pytest.mark.parametrize(
    ("item", "amounts", "discount"),
    [
        (line("25.00", "2", "40.00"), {}, "10.00"),
        (line("25.00", "2", "40.00"), {"tax": "4.00", "discount": "10.00"}, "10.00"),
        # The prices may include the tax, and the line totals not.
        (line("25.00", "2", "40.00"), {"tax": "10.00"}, "0"),
        (line("25.00", "2", "40.00"), {"discount": "1.00"}, "0"),
        (line("25.00", "2", "50.00"), {}, "0"),
        (line("25.00", "2"), {}, "0"),
        (line("25.00", "2", "55.00"), {}, "0"),
        # The unit price is rounded: 10.00 / 3 pieces, up.
        (line("3.34", "3", "10.00"), {}, "0"),
    ],
)
def test_a_line_below_quantity_times_price_has_a_discount(item: Item, amounts: dict[str, str], discount: str) -> None:
    assert line_discount(item, order_of("50.00", item, **amounts)) == Decimal(discount)
