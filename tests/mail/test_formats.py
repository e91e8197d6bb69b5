"""Money, quantities and dates in the format of a locale."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel import Locale

from orderconfirm.mail.formats import format_date, format_money, format_quantity, format_weekday


def parse_locale(tag: str) -> Locale:
    return Locale.parse(tag, sep="-" if "-" in tag else "_")


@pytest.mark.parametrize(
    ("amount", "currency", "tag", "text"),
    [
        ("119.97", "USD", "en", "$119.97"),
        ("0", "USD", "en", "$0.00"),
        ("-5", "USD", "en", "\u2212$5.00"),
        ("1234567.8", "USD", "en", "$1,234,567.80"),
        ("1234567.8", "EUR", "de", "1.234.567,80\u00a0€"),
        ("1234567.8", "EUR", "fr", "1\u202f234\u202f567,80\u00a0€"),
        ("1234567.8", "INR", "hi", "₹12,34,567.80"),
        ("1234567.8", "CHF", "de-CH", "CHF\u00a01’234’567.80"),
        ("1200", "JPY", "ja", "￥1,200"),
        ("1200", "JPY", "en", "¥1,200"),
        ("1.5", "KWD", "en", "KWD\u00a01.500"),
        ("35", "SEK", "en", "SEK\u00a035.00"),
        ("12345", "CHF", "en", "CHF\u00a012,345.00"),
        ("1234.5", "PLN", "pl", "1234,50\u00a0zł"),
        ("12345", "PLN", "pl", "12\u00a0345,00\u00a0zł"),
        ("1234.5", "MXN", "es-MX", "$1,234.50"),
        ("-5", "SEK", "sv", "\u22125,00\u00a0kr"),
        ("5", "AED", "ar", "\u200e5.00\u00a0د.إ.\u200f"),
        ("-5", "AED", "ar", "\u200e\u22125.00\u00a0د.إ.\u200f"),
        ("-5", "EGP", "ar-EG", "\u061c\u2212٥٫٠٠\u00a0ج.م.\u200f"),
    ],
)
def test_money_has_the_format_of_the_locale(amount: str, currency: str, tag: str, text: str) -> None:
    assert format_money(Decimal(amount), currency, parse_locale(tag)) == text


def test_amounts_are_those_of_icu_except_for_its_hyphens_and_direction_marks() -> None:
    """Twenty currencies in eight locales. Node's Intl.NumberFormat wrote the file, which names the version of ICU."""
    recorded = json.loads((Path(__file__).parent / "icu_amounts.json").read_text(encoding="utf-8"))
    amount = Decimal(recorded["amount"])
    ours = {
        tag: {currency: visible(format_money(amount, currency, parse_locale(tag))) for currency in texts}
        for tag, texts in recorded["texts"].items()
    }
    icu = {
        tag: {currency: visible(text.replace("-", "\u2212")) for currency, text in texts.items()}
        for tag, texts in recorded["texts"].items()
    }
    assert ours == icu
    assert len(ours) == 8 and all(len(texts) == 20 for texts in ours.values())


def visible(text: str) -> str:
    """Return `text` without direction marks, which depend on where an amount is shown."""
    return re.sub("[\u200e\u200f\u061c]", "", text)


@pytest.mark.parametrize(("currency", "decimals"), [("RSD", 2), ("LBP", 2), ("ISK", 0), ("BHD", 3), ("CLF", 4)])
def test_decimals_follow_iso_4217_instead_of_cldr(currency: str, decimals: int) -> None:
    assert format_money(Decimal(5), currency, parse_locale("en")).partition(".")[2] == "0" * decimals


@pytest.mark.parametrize("currency", ["XTS", "IRT", "QQQ"])
def test_an_unknown_currency_is_shown_as_its_code(currency: str) -> None:
    text = format_money(Decimal("7.5"), currency, parse_locale("en"))
    assert text.startswith(currency) and text.endswith("7.50")


@pytest.mark.parametrize(
    ("amount", "text"), [("0.005", "$0.01"), ("0.004", "$0.00"), ("17.647059", "$17.65"), ("2.675", "$2.68")]
)
def test_halves_are_rounded_up(amount: str, text: str) -> None:
    assert format_money(Decimal(amount), "USD", parse_locale("en")) == text


def test_currencies_do_not_share_their_decimals() -> None:
    english = parse_locale("en")
    texts = [format_money(Decimal(5), currency, english) for currency in ("JPY", "USD", "JPY", "EUR")]
    assert texts == ["¥5", "$5.00", "¥5", "€5.00"]


@pytest.mark.parametrize(
    ("number", "tag", "text"),
    [
        ("2", "en", "2"),
        ("1.5", "en", "1.5"),
        ("1.5", "de", "1,5"),
        ("2.000", "en", "2"),
        ("0.125", "en", "0.125"),
        ("12345", "en", "12,345"),
        ("1234", "es", "1234"),
        ("1.5", "ar-EG", "١٫٥"),
    ],
)
def test_a_quantity_has_no_trailing_zeros(number: str, tag: str, text: str) -> None:
    assert format_quantity(Decimal(number), parse_locale(tag)) == text


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("en", "March 15, 2025"),
        ("de", "15. März 2025"),
        ("fr", "15 mars 2025"),
        ("ja", "2025年3月15日"),
        ("ar-EG", "١٥ مارس ٢٠٢٥"),
    ],
)
def test_a_date_has_the_long_format_of_the_locale(tag: str, text: str) -> None:
    assert format_date(datetime(2025, 3, 15, 14, 30, tzinfo=UTC), parse_locale(tag)) == text


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("en", "Thursday, March\u00a020"),
        ("en-GB", "Thursday 20\u00a0March"),
        ("de", "Donnerstag, 20.\u00a0März"),
        ("fr", "jeudi 20\u00a0mars"),
        ("es", "jueves, 20 de marzo"),
        ("pl", "czwartek, 20\u00a0marca"),
        ("ja", "3月20日(木曜日)"),
        ("ar-EG", "الخميس، ٢٠\u00a0مارس"),
    ],
)
def test_a_day_of_arrival_has_its_weekday(tag: str, text: str) -> None:
    assert format_weekday(datetime(2025, 3, 20, tzinfo=UTC), parse_locale(tag)) == text


@pytest.mark.parametrize(
    "zone", [UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-11)), ZoneInfo("Asia/Tokyo")]
)
def test_a_date_is_the_day_in_its_own_time_zone(zone: timezone | ZoneInfo) -> None:
    assert format_date(datetime(2025, 3, 15, 23, 59, tzinfo=zone), parse_locale("en")) == "March 15, 2025"
    assert format_date(datetime(2025, 3, 15, 0, 0, tzinfo=zone), parse_locale("en")) == "March 15, 2025"
