"""Amounts: how many decimals a currency has, and what is rounding noise and what is a real extra digit."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from orderconfirm.order.models import Item

#: Minor units that differ from two, from ISO 4217. Codes it does not know (IRT, tokens) count as two.
_MINOR_UNITS = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}

#: Decimals a unit price may carry: shops divide a line's total by its quantity (17.647059).
UNIT_PRICE_PLACES = 6

#: Significant digits from which on a number is taken for a printed binary double (IEEE 754 prints 15 to 17).
_DOUBLE_DIGITS = 15


def decimals_of(currency: str) -> int:
    """Decimals that an amount in this currency has."""
    return _MINOR_UNITS.get(currency, 2)


def minor_unit(currency: str) -> Decimal:
    """The smallest amount of this currency: 0.01 for USD, 1 for JPY."""
    return Decimal(1).scaleb(-decimals_of(currency))


def round_to(amount: Decimal, places: int) -> Decimal:
    """`amount` with exactly `places` decimals, halves away from zero as shops round."""
    return amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


def fit_amount(amount: Decimal, currency: str) -> Decimal:
    """`amount` with the currency's decimals.

    The noise of binary floats (119.97000000000001) is rounded away; a real extra decimal raises ValueError.
    """
    places = decimals_of(currency)
    rounded = round_to(amount, places)
    if abs(amount - rounded) > max(Decimal("1e-9"), abs(amount).scaleb(-14)):
        raise ValueError(f"{amount:f} has more decimals than {currency} has ({places}): round it as you charged it")
    return rounded


def fit_unit_price(price: Decimal) -> Decimal:
    """`price` with at most six decimals; more of them are taken only from a double that ran out of digits."""
    rounded = round_to(price, UNIT_PRICE_PLACES)
    if rounded != price and len(price.as_tuple().digits) < _DOUBLE_DIGITS:
        raise ValueError(
            f"{price:f} has more than {UNIT_PRICE_PLACES} decimals: send a rounded unit price and the line_total"
        )
    return plain(rounded)


def plain(number: Decimal) -> Decimal:
    """The same number without trailing zeros or an exponent: 79.90 and 79.9 become one."""
    number = number.normalize()
    return number.quantize(Decimal(1)) if number.as_tuple().exponent > 0 else number  # type: ignore[operator]


def line_total(item: Item, currency: str) -> Decimal:
    """What the customer pays for this line: the shop's own word, else price times quantity, rounded."""
    if item.line_total is not None:
        return item.line_total
    return round_to(item.price * item.quantity, decimals_of(currency))
