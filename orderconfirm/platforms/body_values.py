"""Safe access to the values of a platform's order, whose shape no schema guarantees."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from orderconfirm.order.money import UNIT_PRICE_PLACES, round_to
from orderconfirm.platforms.readings import Unreadable

#: Maximum characters of an amount: longer ones are no money, and arithmetic with them is slow.
_MAX_AMOUNT_LENGTH = 40
#: Maximum digits before the point. The decimals of a unit price still fit into the 28 digits of Python's arithmetic.
_MAX_DIGITS = 18
_TAG = re.compile(r"<[^<>]*>")


def find(value: Any, *names: str) -> Any:
    """Return the value at a path of names, or None where it ends."""
    for name in names:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def objects(value: Any, *names: str) -> list[Mapping[str, Any]]:
    """Return the objects in the list at a path of names; an empty list when there is none."""
    found = find(value, *names)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def text(value: Any, *names: str) -> str | None:
    """Return the text or number at a path of names as text without outer blanks; None when it is empty or neither."""
    found = find(value, *names)
    if isinstance(found, bool) or not isinstance(found, str | int | Decimal):
        return None
    return str(found).strip() or None


def plain_text(value: Any, *names: str) -> str | None:
    """Return what `text` does, without the tags of HTML."""
    found = text(value, *names)
    return (_TAG.sub("", found).strip() or None) if found else None


def amount(value: Any, *names: str) -> Decimal:
    """Return the amount at a path of names; 0 when it is absent or empty. Raises Unreadable when it is no number."""
    found = text(value, *names)
    if found is None:
        return Decimal(0)
    try:
        number = Decimal(found) if len(found) <= _MAX_AMOUNT_LENGTH else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    # A number with a huge exponent would make every sum as long as that.
    if not number.is_finite() or not -_MAX_AMOUNT_LENGTH <= number.adjusted() < _MAX_DIGITS:
        raise Unreadable(f"{'.'.join(names)} is not an amount")
    return number


def total_of(parts: Iterable[Mapping[str, Any]], *names: str) -> Decimal:
    """Return the sum of the amounts at a path of names in each part."""
    return sum((amount(part, *names) for part in parts), Decimal(0))


def unit_price(line: Decimal, quantity: Decimal) -> Decimal:
    """Return the price of one piece of a line, rounded to the decimals that a unit price may have."""
    return round_to(line / quantity, UNIT_PRICE_PLACES) if quantity else line


def joined(*parts: str | None, separator: str = " ") -> str | None:
    """Return the parts that are not empty, joined; None when there is none."""
    return separator.join(part for part in parts if part) or None


def postal_address(*lines: str | None, **fields: str | None) -> dict[str, Any] | None:
    """Return an address of the order's schema; None when nobody gave one.

    Shops fill in a country and a region even for goods that are not shipped, so these alone are no address.
    """
    given = {"lines": [line for line in lines if line], **{name: value for name, value in fields.items() if value}}
    return given if given["lines"] or given.keys() & {"city", "postcode"} else None
