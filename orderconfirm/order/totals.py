"""The rows between an order's lines and its total, and the check that its amounts add up."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from orderconfirm.order.models import Item, Order
from orderconfirm.order.money import decimals_of, line_total, minor_unit, round_to

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Sum:
    """One row below the lines. `kind` is subtotal, discount, shipping, adjustment, tax, rounding or other."""

    kind: str
    amount: Decimal
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """The rows between the lines and the total. Their sum is exactly the total.

    `included` are amounts that the prices already contain (tax, discount); they are shown but not added. `parts` is the
    sum of the shop's amounts. `difference` is the total minus `parts`, zero when they differ by at most one minor unit
    per line.
    """

    rows: tuple[Sum, ...]
    included: tuple[Sum, ...]
    parts: Decimal
    difference: Decimal


def add_up(order: Order) -> Totals:
    """Return the rows of an order, and how its amounts compare to its total.

    The tax is added to the prices, or counted as included when `tax_included` is true or when only that matches the
    total. Line totals that differ from price times quantity may already include the discount (WooCommerce, Square);
    this is assumed when only that matches the total.
    """
    fixed = [Sum("subtotal", sum((line_total(item, order.currency) for item in order.items), ZERO))]
    if order.shipping_cost is not None:
        fixed.append(Sum("shipping", order.shipping_cost))
    fixed += [Sum("adjustment", each.amount, each.label) for each in order.adjustments if each.amount]
    gap = order.total - sum((row.amount for row in fixed), ZERO)

    extras = {"discount": -(order.discount or ZERO), "tax": order.tax or ZERO}
    added = _find_added(order, gap, extras)
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


def line_discount(item: Item, order: Order) -> Decimal:
    """Return the amount by which a line's total is below quantity times price, or zero.

    Up to a minor unit per piece, it is the rounding of the unit price. More than the order's discount is something
    else, and without one it may be the tax on prices that include it.
    """
    if item.line_total is None or (order.tax and not order.discount):
        return ZERO
    difference = item.price * item.quantity - item.line_total
    is_discount = minor_unit(order.currency) * item.quantity < difference <= (order.discount or difference)
    return round_to(difference, decimals_of(order.currency)) if is_discount else ZERO


def _tolerance(order: Order) -> Decimal:
    return minor_unit(order.currency) * len(order.items)


def _find_added(order: Order, gap: Decimal, extras: dict[str, Decimal]) -> tuple[str, ...]:
    """Return which of discount and tax are not included in the prices: the first interpretation that closes `gap`."""
    given = tuple(kind for kind, extra in extras.items() if extra)
    candidates = [given]
    if order.tax_included is not False:
        candidates.append(tuple(kind for kind in given if kind != "tax"))
    if order.tax_included:
        del candidates[0]
    if _has_other_line_totals(order):
        candidates += [tuple(kind for kind in added if kind != "discount") for added in candidates]
    for added in candidates:
        if abs(gap - sum((extras[kind] for kind in added), ZERO)) <= _tolerance(order):
            return added
    return candidates[0]


def _has_other_line_totals(order: Order) -> bool:
    """Whether any line total differs from price times quantity."""
    return any(
        item.line_total not in (None, round_to(item.price * item.quantity, decimals_of(order.currency)))
        for item in order.items
    )


def describe_difference(order: Order, totals: Totals) -> str | None:
    """Return a warning for the shop with both sums, or None when the order adds up."""
    if not totals.difference:
        return None
    return (
        f"total is {order.total} {order.currency}, but its parts add up to {totals.parts}: the mail shows the "
        f"difference of {totals.difference} as a row. Send fees, tips and gift cards as `adjustments`, and set "
        "`tax_included`."
    )


def describe_expected_total(order: Order, totals: Totals) -> str:
    """Return the field error of a total that must equal the sum of the parts and does not."""
    return (
        f"must equal the sum of the parts, {totals.parts} {order.currency}: send fees, tips and gift cards as "
        "`adjustments`, and set `tax_included`"
    )
