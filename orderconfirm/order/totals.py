"""Whether an order adds up, and the sums that its mail shows so that what the customer reads always does."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from orderconfirm.order.models import Order
from orderconfirm.order.money import decimals_of, line_total, minor_unit, round_to

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Sum:
    """One row under the lines. `kind` is subtotal, discount, shipping, adjustment, tax, rounding or other."""

    kind: str
    amount: Decimal
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """The rows between the lines and the total; Σ rows is the total, exactly.

    `included` are amounts that the prices above already hold (tax, discount): told, not added. `difference` is what the
    shop's total has beyond its parts, zero when they agree within one minor unit a line.
    """

    rows: tuple[Sum, ...]
    included: tuple[Sum, ...]
    parts: Decimal
    difference: Decimal


def add_up(order: Order) -> Totals:
    """Set the order's parts against its total.

    The tax is added, or counted as inside the prices when `tax_included` says so or when only that fits. Line totals
    that are not price times quantity may hold the discount already (WooCommerce, Square): so read when only that fits.
    """
    fixed = [Sum("subtotal", sum((line_total(item, order.currency) for item in order.items), ZERO))]
    if order.shipping_cost is not None:
        fixed.append(Sum("shipping", order.shipping_cost))
    fixed += [Sum("adjustment", each.amount, each.label) for each in order.adjustments if each.amount]
    gap = order.total - sum((row.amount for row in fixed), ZERO)

    extras = {"discount": -(order.discount or ZERO), "tax": order.tax or ZERO}
    added = _what_is_added(order, gap, extras)
    gap -= sum((extras[kind] for kind in added), ZERO)
    rows = fixed[:1] + [Sum(kind, extras[kind]) for kind in added if kind == "discount"]
    rows += fixed[1:] + [Sum(kind, extras[kind]) for kind in added if kind == "tax"]
    difference = gap if abs(gap) > _tolerance(order) else ZERO
    if gap:
        rows.append(Sum("other" if difference else "rounding", gap))
    return Totals(
        rows=tuple(rows) if len(rows) > 1 else (),
        included=tuple(Sum(kind, abs(extra)) for kind, extra in extras.items() if extra and kind not in added),
        parts=order.total - gap,
        difference=difference,
    )


def _tolerance(order: Order) -> Decimal:
    return minor_unit(order.currency) * len(order.items)


def _what_is_added(order: Order, gap: Decimal, extras: dict[str, Decimal]) -> tuple[str, ...]:
    """Which of discount and tax count beside the prices: the first reading that closes `gap`; the others are inside."""
    given = tuple(kind for kind, extra in extras.items() if extra)
    readings = [given]
    if order.tax_included is not False:
        readings.append(tuple(kind for kind in given if kind != "tax"))
    if order.tax_included:
        del readings[0]
    if _has_lines_with_own_totals(order):
        readings += [tuple(kind for kind in reading if kind != "discount") for reading in readings]
    for reading in readings:
        if abs(gap - sum((extras[kind] for kind in reading), ZERO)) <= _tolerance(order):
            return reading
    return readings[0]


def _has_lines_with_own_totals(order: Order) -> bool:
    return any(
        item.line_total not in (None, round_to(item.price * item.quantity, decimals_of(order.currency)))
        for item in order.items
    )


def describe_difference(order: Order, totals: Totals) -> str | None:
    """A sentence for the shop that names both sums; None when the order adds up."""
    if not totals.difference:
        return None
    return (
        f"total is {order.total} {order.currency}, but its parts make {totals.parts}: the mail shows the difference "
        f"of {totals.difference} as one line. Send fees, tips and gift cards as `adjustments`, and say `tax_included`."
    )
