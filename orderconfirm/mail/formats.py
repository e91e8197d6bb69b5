"""Money, quantities and dates as a locale writes them, by CLDR."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from copy import copy
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import cast

from babel import Locale, dates, numbers
from babel.core import get_global

from orderconfirm.order.money import decimals_of, round_to

#: Unicode's invisible direction marks (UAX #9).
_DIRECTION_MARKS = "\u200e\u200f\u061c"
#: Before an amount, these keep the sign beside the digits: left of ASCII digits, and where Arabic readers expect it.
_LEFT_TO_RIGHT, _ARABIC = "\u200e", "\u061c"
_NO_BREAK_SPACE = "\u00a0"
_MINUS = "\u2212"
#: The fields of a date pattern that stand for names of weekdays and months; a single M is a number.
_SHORT_NAMES = re.compile("E+|c+|M{3,}|L{3,}")
#: Day and month, between which a line must not break.
_DAY_AND_MONTH = re.compile(r"d\.? (?=M)|M (?=d)")
#: Languages that write 1234 without a separator. Spanish does so outside America, Portuguese outside Brazil.
_MINIMUM_GROUPING = frozenset("be bg es et hu hy it ka lv pl sl sq".split())
#: The digit zero of CLDR's numbering systems; the other digits follow it in Unicode.
_ZEROS = {"arab": "٠", "arabext": "۰", "beng": "০", "deva": "०", "mymr": "၀"}


@lru_cache(maxsize=4096)
def format_money(amount: Decimal, currency: str, locale: Locale) -> str:
    """Return `amount` with its currency in the locale's format. A currency unknown to CLDR is shown as its code."""
    system = numbering_system(locale)
    rounded = round_to(amount, decimals_of(currency))
    grouped = _is_grouped(rounded, locale)
    pattern = _money_pattern(locale, currency)
    amount_text = pattern.apply(rounded, locale, group_separator=grouped, numbering_system=system)  # type: ignore[call-arg]
    text = _digits(str(amount_text), system)
    if locale.text_direction != "rtl":
        return text
    # The locale's own marks differ for plus and minus, which would misalign the amounts of a column.
    return f"{_ARABIC if system == 'arab' else _LEFT_TO_RIGHT}{text.lstrip(_DIRECTION_MARKS)}"


@lru_cache(maxsize=1024)
def format_quantity(number: Decimal, locale: Locale) -> str:
    """Return a whole or fractional quantity without trailing zeros, like 2 or 1.5."""
    system = numbering_system(locale)
    grouped = _is_grouped(number, locale)
    pattern = locale.decimal_formats[None]
    return _digits(str(pattern.apply(number, locale, group_separator=grouped, numbering_system=system)), system)


def format_date(time: datetime, locale: Locale) -> str:
    """Return the day of `time` in its own time zone, in the locale's long format."""
    return _format_day(time.date(), locale)


def format_weekday(time: datetime, locale: Locale) -> str:
    """Return the day of `time` in its own time zone with its weekday and without the year: Thursday, March 20."""
    return _format_weekday(time.date(), locale)


def join_names(names: Sequence[str], locale: Locale) -> str:
    """Return names with the locale's comma between them."""
    comma = locale.list_patterns["standard"]["middle"].replace("{0}", "").replace("{1}", "")
    return str(comma).join(names)


@lru_cache(maxsize=1024)
def _format_day(day: date, locale: Locale) -> str:
    return _digits(dates.format_date(day, format="long", locale=locale), numbering_system(locale))


@lru_cache(maxsize=1024)
def _format_weekday(day: date, locale: Locale) -> str:
    return _digits(dates.format_date(day, _weekday_pattern(locale), locale), numbering_system(locale))


@lru_cache(maxsize=256)
def _weekday_pattern(locale: Locale) -> str:
    """Return the locale's pattern for weekday, day and month, widened to whole names as ICU does."""
    skeletons = locale.datetime_skeletons
    found = next(name for name in ("MMMMEEEEd", "MMMMEd", "MMMEd", "MEd") if name in skeletons)
    pattern = _SHORT_NAMES.sub(lambda name: name[0][0] * 4, skeletons[found].pattern)
    return _DAY_AND_MONTH.sub(lambda day: day[0].replace(" ", _NO_BREAK_SPACE), pattern)


@lru_cache(maxsize=256)
def _money_pattern(locale: Locale, currency: str) -> numbers.NumberPattern:
    """Return the locale's pattern for amounts of a currency, with its symbol, a real minus sign, and its decimals.

    The decimals are those of ISO 4217; CLDR's differ for RSD and LBP.
    """
    pattern = cast(numbers.NumberPattern, copy(locale.currency_formats["standard"]))
    pattern.frac_prec = (decimals_of(currency),) * 2
    symbol = numbers.get_currency_symbol(currency, locale)
    minus = locale.number_symbols[numbering_system(locale)]["minusSign"].replace("-", _MINUS)
    plain, negative = pattern.prefix
    pattern.prefix = _before_digits(plain, symbol), _before_digits(negative.replace("-", minus), symbol)
    plain, negative = pattern.suffix
    pattern.suffix = _behind_digits(plain, symbol), _behind_digits(negative.replace("-", minus), symbol)
    return pattern


def _before_digits(prefix: str, symbol: str) -> str:
    space = _NO_BREAK_SPACE if prefix.endswith("¤") and _needs_space(symbol[-1]) else ""
    return prefix.replace("¤", symbol) + space


def _behind_digits(suffix: str, symbol: str) -> str:
    space = _NO_BREAK_SPACE if suffix.startswith("¤") and _needs_space(symbol[0]) else ""
    return space + suffix.replace("¤", symbol)


def _needs_space(character: str) -> bool:
    """Whether a digit must not touch this character of a currency symbol (currencySpacing in CLDR's root)."""
    return unicodedata.category(character)[0] not in "SZ"


def _is_grouped(number: Decimal, locale: Locale) -> bool:
    """Whether the locale separates the thousands of this number: some write 1234, but 12.345."""
    return abs(number) >= 10_000 or not _has_minimum_grouping(locale)


@lru_cache(maxsize=256)
def _has_minimum_grouping(locale: Locale) -> bool:
    """Whether CLDR's minimumGroupingDigits is 2 for the locale, which Babel does not know."""
    parent = get_global("parent_exceptions").get(str(locale), str(locale))
    return parent == "pt_PT" or (locale.language in _MINIMUM_GROUPING and parent != "es_419")


@lru_cache(maxsize=256)
def numbering_system(locale: Locale) -> str:
    """Return CLDR's numbering system for the locale's digits, `latn` for 0 to 9."""
    system = str(locale.default_numbering_system)  # type: ignore[attr-defined]
    return system if system in _ZEROS and "minusSign" in locale.number_symbols[system] else "latn"


@lru_cache(maxsize=8)
def _digit_table(system: str) -> dict[int, int]:
    return {ord("0") + value: ord(_ZEROS[system]) + value for value in range(10)}


def _digits(text: str, system: str) -> str:
    """Return `text` with the digits of a numbering system."""
    return text if system == "latn" else text.translate(_digit_table(system))
