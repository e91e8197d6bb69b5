"""What templates see: the shop and the order as text, ready to print, in the customer's language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from decimal import Decimal
from typing import Any

from babel import Locale

from orderconfirm.mail import formats
from orderconfirm.mail.colors import on_color, on_dark
from orderconfirm.order.models import Address, Item, Order
from orderconfirm.order.money import line_total
from orderconfirm.order.totals import Sum, add_up
from orderconfirm.settings import Settings


@dataclass(frozen=True, slots=True)
class CompanyView:
    """The shop, as templates see it."""

    name: str
    address: str | None
    website_url: str | None
    logo_url: str | None
    support_email: str
    color: str
    text_on_color: str
    color_dark: str
    text_on_color_dark: str


@dataclass(frozen=True, slots=True)
class LineView:
    """One line of the order, its numbers already written out."""

    name: str
    variant: str | None
    sku: str | None
    quantity: str
    unit_price: str
    total: str
    image_url: str | None
    url: str | None


@dataclass(frozen=True, slots=True)
class SumView:
    """A labelled amount under the lines."""

    label: str
    amount: str


@dataclass(frozen=True, slots=True)
class OrderView:
    """The order, as templates see it: everything is text already, and what is absent is None or empty."""

    number: str
    date: str
    customer_name: str
    lines: tuple[LineView, ...]
    shown_lines: tuple[LineView, ...]
    hidden_count: int
    sums: tuple[SumView, ...]
    total: str
    included: tuple[SumView, ...]
    shipping_method: str | None
    estimated_delivery: str | None
    shipping_address: tuple[str, ...]
    billing_address: tuple[str, ...]
    address: str | None
    phone: str | None
    payment_method: str | None
    url: str | None
    notes: str | None


def company_view(settings: Settings) -> CompanyView:
    dark = on_dark(settings.brand_color)
    return CompanyView(
        name=settings.company_name,
        address=settings.company_address.replace("\\n", "\n") or None,
        website_url=settings.website_url or None,
        logo_url=settings.logo_url or None,
        support_email=settings.support_address,
        color=settings.brand_color,
        text_on_color=on_color(settings.brand_color),
        color_dark=dark,
        text_on_color_dark=on_color(dark),
    )


def order_view(order: Order, locale: Locale, _: Callable[[str], str], max_lines: int) -> OrderView:
    """`order` in `locale`, its labels translated by `_`, with at most `most_lines` lines to show in the HTML part."""

    def money(amount: Decimal) -> str:
        return formats.money(amount, order.currency, locale)

    def line(item: Item) -> LineView:
        return LineView(
            name=item.name,
            variant=item.variant,
            sku=item.sku,
            quantity=formats.quantity(item.quantity, locale),
            unit_price=money(item.price),
            total=money(line_total(item, order.currency)),
            image_url=item.image_url,
            url=item.url,
        )

    def sums(rows: Sequence[Sum], labels: dict[str, str]) -> tuple[SumView, ...]:
        return tuple(SumView(row.label or labels[row.kind], money(row.amount)) for row in rows)

    totals = add_up(order)
    lines = tuple(line(item) for item in order.items)
    shown = lines[:max_lines]
    return OrderView(
        number=order.order_id,
        date=formats.date(order.order_date, locale),
        customer_name=order.customer.name,
        lines=lines,
        shown_lines=shown,
        hidden_count=len(lines) - len(shown),
        sums=sums(
            totals.rows,
            {
                "subtotal": _("Subtotal"),
                "discount": _("Discount"),
                "shipping": _("Shipping"),
                "tax": _("Tax"),
                "rounding": _("Rounding"),
                "other": _("Other charges") if totals.difference > 0 else _("Other reductions"),
            },
        ),
        total=money(order.total),
        included=sums(totals.included, {"tax": _("Tax included"), "discount": _("Discount already taken off")}),
        shipping_method=order.shipping_method,
        estimated_delivery=formats.date(order.estimated_delivery, locale) if order.estimated_delivery else None,
        shipping_address=_address_lines(order.shipping_address),
        billing_address=_address_lines(order.billing_address),
        address=order.customer.address,
        phone=order.customer.phone,
        payment_method=order.payment_method,
        url=order.order_url,
        notes=order.notes,
    )


def shortened(view: Any, most: int) -> Any:
    """A view, or a part of one, with every text cut to `most` characters; a link that is longer is left out."""
    if isinstance(view, str):
        return view if len(view) <= most else f"{view[: most - 1]}…"
    if isinstance(view, tuple):
        return tuple(shortened(each, most) for each in view)
    if not is_dataclass(view) or isinstance(view, type):
        return view
    parts = {each.name: shortened(getattr(view, each.name), most) for each in fields(view)}
    cut_links = {name: None for name, part in parts.items() if name.endswith("url") and part != getattr(view, name)}
    return replace(view, **{**parts, **cut_links})


def _address_lines(address: Address | None) -> tuple[str, ...]:
    if address is None:
        return ()
    town = " ".join(part for part in (address.postcode, address.city) if part)
    return tuple(line for line in (*address.lines, town, address.country) if line)
