"""Amounts: the decimals of each currency, rounding, and the removal of floating-point noise."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from orderconfirm.order.models import Item

#: Currencies of ISO 4217 whose number of decimals is not two. Unknown codes (IRT, tokens) have two.
_MINOR_UNITS = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}

#: Maximum decimals of a unit price. Shops compute it as line total divided by quantity (17.647059).
UNIT_PRICE_PLACES = 6

#: Significant digits from which a number counts as a printed double (IEEE 754: 15 to 17 digits).
_DOUBLE_DIGITS = 15


def decimals_of(currency: str) -> int:
    """Return the number of decimals of amounts in this currency."""
    return _MINOR_UNITS.get(currency, 2)


def minor_unit(currency: str) -> Decimal:
    """Return the smallest amount of this currency: 0.01 for USD, 1 for JPY."""
    return Decimal(1).scaleb(-decimals_of(currency))


def round_to(amount: Decimal, places: int) -> Decimal:
    """Return `amount` with exactly `places` decimals. Halves are rounded away from zero, as shops do."""
    return amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


def fit_amount(amount: Decimal, currency: str) -> Decimal:
    """Return `amount` with the currency's number of decimals.

    Floating-point noise (119.97000000000001) is rounded away. Any other extra decimal raises ValueError.
    """
    places = decimals_of(currency)
    rounded = round_to(amount, places)
    if abs(amount - rounded) > max(Decimal("1e-9"), abs(amount).scaleb(-14)):
        raise ValueError(
            f"{amount:f} has more decimals than {currency} allows ({places}): send the rounded amount that was charged"
        )
    return rounded


def fit_unit_price(price: Decimal) -> Decimal:
    """Return `price` with at most six decimals.

    Further decimals are rounded away when `price` is a printed double, and raise ValueError otherwise.
    """
    rounded = round_to(price, UNIT_PRICE_PLACES)
    if rounded != price and len(price.as_tuple().digits) < _DOUBLE_DIGITS:
        raise ValueError(
            f"{price:f} has more than {UNIT_PRICE_PLACES} decimals: send a rounded unit price and the line_total"
        )
    return plain(rounded)


def plain(number: Decimal) -> Decimal:
    """Return the number without trailing zeros and without an exponent, so that 79.90 and 79.9 are the same."""
    number = number.normalize()
    return number.quantize(Decimal(1)) if number.as_tuple().exponent > 0 else number  # type: ignore[operator]


def line_total(item: Item, currency: str) -> Decimal:
    """Return the line's amount: the shop's line total, or else price times quantity, rounded."""
    if item.line_total is not None:
        return item.line_total
    return round_to(item.price * item.quantity, decimals_of(currency))
