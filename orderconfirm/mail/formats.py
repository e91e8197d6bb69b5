"""Money, dates and quantities in the customer's language, by Babel."""

from __future__ import annotations

from copy import copy
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import cast

from babel import Locale
from babel.dates import format_date
from babel.numbers import NumberPattern, format_decimal, get_minus_sign_symbol

from orderconfirm.order.money import decimals_of, round_to

#: Unicode's invisible marks of direction (UAX #9), and the one that keeps a sign left of its digits.
_MARKS = "\u200e\u200f\u061c"
_LEFT_TO_RIGHT = "\u200e"


@lru_cache(maxsize=256)
def _money_pattern(locale: Locale, places: int) -> NumberPattern:
    """The locale's currency pattern with the decimals of ISO 4217, where CLDR's own differ (RSD, LBP)."""
    pattern = copy(locale.currency_formats["standard"])
    pattern.frac_prec = (places, places)
    # Babel writes "-" where the locale has its own sign, in Arabic one that keeps left of the digits.
    minus = get_minus_sign_symbol(locale)
    pattern.prefix = (pattern.prefix[0], pattern.prefix[1].replace("-", minus))
    pattern.suffix = (pattern.suffix[0], pattern.suffix[1].replace("-", minus))
    return cast(NumberPattern, pattern)


def money(amount: Decimal, currency: str, locale: Locale) -> str:
    """`amount` as the customer reads it; a code that Babel does not know is shown as it is."""
    places = decimals_of(currency)
    pattern = _money_pattern(locale, places)
    text = str(pattern.apply(round_to(amount, places), locale, currency=currency, currency_digits=False))
    # One mark for all amounts of a column: the locale's own differ between plus and minus, and so would the order.
    return f"{_LEFT_TO_RIGHT}{text.lstrip(_MARKS)}" if locale.text_direction == "rtl" else text


def quantity(number: Decimal, locale: Locale) -> str:
    """A whole or fractional quantity: 2, 1.5."""
    return str(format_decimal(number, locale=locale))


def date(moment: datetime, locale: Locale) -> str:
    """The day of `moment`, in the zone that it carries."""
    return format_date(moment, format="long", locale=locale)
