"""Money, dates and quantities as customers read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from babel import Locale

from orderconfirm.mail.formats import date, money, quantity


def locale(tag: str) -> Locale:
    return Locale.parse(tag, sep="-" if "-" in tag else "_")


@pytest.mark.parametrize(
    ("amount", "currency", "tag", "text"),
    [
        ("119.97", "USD", "en", "$119.97"),
        ("0", "USD", "en", "$0.00"),
        ("-5", "USD", "en", "-$5.00"),
        ("1234567.8", "USD", "en", "$1,234,567.80"),
        ("1234567.8", "EUR", "de", "1.234.567,80\u00a0€"),
        ("1234567.8", "EUR", "fr", "1\u202f234\u202f567,80\u00a0€"),
        ("1234567.8", "INR", "hi", "₹12,34,567.80"),
        ("1234567.8", "CHF", "de-CH", "CHF\u00a01’234’567.80"),
        ("1200", "JPY", "ja", "￥1,200"),
        ("1200", "JPY", "en", "¥1,200"),
        ("1.5", "KWD", "en", "KWD1.500"),
        ("-5", "SEK", "sv", "\u22125,00\u00a0kr"),
        ("5", "AED", "ar", "\u200e5.00\u00a0د.إ.\u200f"),
        ("-5", "AED", "ar", "\u200e-5.00\u00a0د.إ.\u200f"),
    ],
)
def test_money_is_written_as_the_locale_writes_it(amount: str, currency: str, tag: str, text: str) -> None:
    assert money(Decimal(amount), currency, locale(tag)) == text


@pytest.mark.parametrize(("currency", "decimals"), [("RSD", 2), ("LBP", 2), ("ISK", 0), ("BHD", 3), ("CLF", 4)])
def test_decimals_are_those_of_iso_4217_where_cldr_has_others(currency: str, decimals: int) -> None:
    assert money(Decimal(5), currency, locale("en")).partition(".")[2] == "0" * decimals


@pytest.mark.parametrize("currency", ["XTS", "IRT", "QQQ"])
def test_an_unknown_code_is_shown_as_it_is(currency: str) -> None:
    text = money(Decimal("7.5"), currency, locale("en"))
    assert text.startswith(currency) and text.endswith("7.50")


@pytest.mark.parametrize(
    ("amount", "text"), [("0.005", "$0.01"), ("0.004", "$0.00"), ("17.647059", "$17.65"), ("2.675", "$2.68")]
)
def test_halves_are_rounded_up_as_shops_do(amount: str, text: str) -> None:
    assert money(Decimal(amount), "USD", locale("en")) == text


def test_one_currency_s_decimals_do_not_reach_the_next() -> None:
    english = locale("en")
    written = [money(Decimal(5), currency, english) for currency in ("JPY", "USD", "JPY", "EUR")]
    assert written == ["¥5", "$5.00", "¥5", "€5.00"]


@pytest.mark.parametrize(
    ("number", "tag", "text"),
    [
        ("2", "en", "2"),
        ("1.5", "en", "1.5"),
        ("1.5", "de", "1,5"),
        ("2.000", "en", "2"),
        ("0.125", "en", "0.125"),
        ("12345", "en", "12,345"),
    ],
)
def test_a_quantity_has_the_decimals_it_needs(number: str, tag: str, text: str) -> None:
    assert quantity(Decimal(number), locale(tag)) == text


@pytest.mark.parametrize(
    ("tag", "text"),
    [("en", "March 15, 2025"), ("de", "15. März 2025"), ("fr", "15 mars 2025"), ("ja", "2025年3月15日")],
)
def test_a_date_is_written_out_in_the_locale(tag: str, text: str) -> None:
    assert date(datetime(2025, 3, 15, 14, 30, tzinfo=UTC), locale(tag)) == text


@pytest.mark.parametrize(
    "zone", [UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-11)), ZoneInfo("Asia/Tokyo")]
)
def test_a_date_is_the_day_in_the_zone_that_the_moment_carries(zone: timezone | ZoneInfo) -> None:
    assert date(datetime(2025, 3, 15, 23, 59, tzinfo=zone), locale("en")) == "March 15, 2025"
    assert date(datetime(2025, 3, 15, 0, 0, tzinfo=zone), locale("en")) == "March 15, 2025"
