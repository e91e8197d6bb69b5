"""Amounts: the decimals of a currency, floating-point noise and rounding."""

from __future__ import annotations

from decimal import Decimal

import pytest

from orderconfirm.order.models import Item
from orderconfirm.order.money import decimals_of, fit_amount, fit_unit_price, line_total, minor_unit, plain, round_to


@pytest.mark.parametrize(
    ("currency", "places", "smallest"),
    [("USD", 2, "0.01"), ("JPY", 0, "1"), ("KWD", 3, "0.001"), ("CLF", 4, "0.0001"), ("IRT", 2, "0.01")],
)
def test_a_currency_has_its_iso_4217_decimals_and_an_unknown_one_has_two(
    currency: str, places: int, smallest: str
) -> None:
    assert decimals_of(currency) == places
    assert str(minor_unit(currency)) == smallest


@pytest.mark.parametrize(
    ("amount", "places", "rounded"),
    [("0.005", 2, "0.01"), ("-0.005", 2, "-0.01"), ("1.004999", 2, "1.00"), ("2.5", 0, "3"), ("7", 3, "7.000")],
)
def test_halves_are_rounded_away_from_zero(amount: str, places: int, rounded: str) -> None:
    assert str(round_to(Decimal(amount), places)) == rounded


@pytest.mark.parametrize(
    ("amount", "currency", "fitted"),
    [
        ("119.97000000000001", "USD", "119.97"),
        ("119.96999999999998", "USD", "119.97"),
        ("-0.30000000000000004", "USD", "-0.30"),
        ("1499.9999999999998", "JPY", "1500"),
        ("0.30000000000000004", "KWD", "0.300"),
        ("79.9", "USD", "79.90"),
        ("1E+2", "USD", "100.00"),
    ],
)
def test_floating_point_noise_is_rounded_away(amount: str, currency: str, fitted: str) -> None:
    assert str(fit_amount(Decimal(amount), currency)) == fitted


@pytest.mark.parametrize(
    ("amount", "currency"),
    [("19.999", "USD"), ("19.9900001", "USD"), ("-19.999", "USD"), ("0.5", "JPY"), ("1.2345", "KWD")],
)
def test_an_extra_decimal_is_refused_with_the_amount_and_its_currency(amount: str, currency: str) -> None:
    with pytest.raises(ValueError, match=f"{amount} has more decimals than {currency}"):
        fit_amount(Decimal(amount), currency)


@pytest.mark.parametrize("double", [0.1 + 0.2, 79.99 + 2 * 19.99, 1.1 * 3, 4.35 * 100])
def test_a_sum_of_doubles_is_rounded_to_cents(double: float) -> None:
    assert fit_amount(Decimal(repr(double)), "USD") == round(Decimal(double), 2)


@pytest.mark.parametrize(
    ("price", "fitted"),
    [
        ("17.647059", "17.647059"),
        ("17.647058823529413", "17.647059"),
        ("0.30000000000000004", "0.3"),
        ("79.90", "79.9"),
        ("100", "100"),
        ("0.000001", "0.000001"),
    ],
)
def test_a_unit_price_keeps_six_decimals(price: str, fitted: str) -> None:
    assert str(fit_unit_price(Decimal(price))) == fitted


@pytest.mark.parametrize("price", ["0.1234567", "17.64705882", "0.0000001"])
def test_a_unit_price_with_more_decimals_than_six_must_be_a_full_double(price: str) -> None:
    with pytest.raises(ValueError, match="more than 6 decimals"):
        fit_unit_price(Decimal(price))


@pytest.mark.parametrize(
    ("number", "text"), [("79.90", "79.9"), ("1E+3", "1000"), ("0.00", "0"), ("0E+5", "0"), ("-5.50", "-5.5")]
)
def test_a_plain_number_has_no_trailing_zeros_and_no_exponent(number: str, text: str) -> None:
    assert str(plain(Decimal(number))) == text


def test_a_line_total_is_the_shops_or_else_price_times_quantity_rounded() -> None:
    item = Item("Cheese", Decimal("0.335"), Decimal("17.647059"))
    assert line_total(item, "USD") == Decimal("5.91")
    assert line_total(item, "JPY") == Decimal("6")
    assert line_total(Item("Cheese", Decimal(3), Decimal(5), line_total=Decimal("12.00")), "USD") == Decimal("12.00")
    assert line_total(Item("Gift", Decimal(3), Decimal(5), line_total=Decimal(0)), "USD") == 0
