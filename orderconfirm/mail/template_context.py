"""The variables of the templates: the shop and the order as text, in the customer's language."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from decimal import Decimal
from typing import Any

from babel import Locale

from orderconfirm.mail.addresses import address_lines
from orderconfirm.mail.colors import button_colors, dark_tint, on_color, on_dark, tint
from orderconfirm.mail.formats import format_date, format_money, format_quantity, format_weekday, join_names
from orderconfirm.mail.labels import included_labels, row_labels
from orderconfirm.order.models import Item, Order
from orderconfirm.order.money import line_total
from orderconfirm.order.totals import Sum, add_up, line_discount
from orderconfirm.settings import ByLanguage, Settings

#: Items named in `OrderView.item_names`, and the length to which each name is cut: lists of mails show one line.
NAMED_ITEMS, MAX_NAME = 2, 50


@dataclass(frozen=True, slots=True)
class CompanyView:
    """The shop. `color` is the brand colour, `tint` a light background of it; the `_dark` values are for dark mode."""

    name: str
    address: str | None
    website_url: str | None
    logo_url: str | None
    logo_dark_url: str | None
    returns_url: str | None
    help_url: str | None
    legal_notice: str | None
    legal_text: str | None
    withdrawal_url: str | None
    support_email: str
    color: str
    tint: str
    button_color: str
    button_border: str
    text_on_button: str
    color_dark: str
    tint_dark: str
    text_on_color_dark: str


@dataclass(frozen=True, slots=True)
class LineView:
    """One line of the order, with its numbers formatted.

    `calculation` is the quantity times the price. Where the total is below it, `original_total` is its result and
    `discount` the difference; both are None elsewhere.
    """

    name: str
    variant: str | None
    sku: str | None
    quantity: str
    unit_price: str
    calculation: str
    discount: str | None
    original_total: str | None
    total: str
    image_url: str | None
    url: str | None


@dataclass(frozen=True, slots=True)
class SumView:
    """A labelled amount below the lines."""

    label: str
    amount: str


class CustomView:
    """The shop's own texts, each an attribute by its name. One that the order lacks is None."""

    __slots__ = ("_texts",)

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def __getattr__(self, name: str) -> str | None:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._texts.get(name)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._texts.items())


@dataclass(frozen=True, slots=True)
class OrderView:
    """The order, with dates and amounts formatted. Absent values are None or empty.

    `item_names` are those of the first lines, for the preview in a list of mails. `arrival` is the expected delivery
    with its weekday and without the year. `shown_lines` are the first of `lines`, `hidden_count` is the number of the
    others and `hidden_total` their amount. `sums` add up to `total`; the amounts in `included` are already part of the
    prices.
    """

    number: str
    date: str
    customer_name: str
    item_names: str
    lines: tuple[LineView, ...]
    shown_lines: tuple[LineView, ...]
    hidden_count: int
    hidden_total: str
    sums: tuple[SumView, ...]
    total: str
    included: tuple[SumView, ...]
    shipping_method: str | None
    estimated_delivery: str | None
    arrival: str | None
    shipping_address: tuple[str, ...]
    billing_address: tuple[str, ...]
    address: str | None
    phone: str | None
    payment_method: str | None
    url: str | None
    invoice_url: str | None
    withdrawal_url: str | None
    notes: str | None
    custom: CustomView


def company_view(settings: Settings, choose: Callable[[ByLanguage], str]) -> CompanyView:
    """Return the shop's name, links and colours from the settings. `choose` returns the text of a mail's language."""
    color_dark = on_dark(settings.brand_color)
    button_color, text_on_button = button_colors(settings.brand_color)
    return CompanyView(
        name=settings.company_name,
        address=_text_lines(settings.company_address),
        website_url=settings.website_url or None,
        logo_url=settings.logo_url or None,
        logo_dark_url=settings.logo_dark_url or None,
        returns_url=settings.returns_url or None,
        help_url=settings.help_url or None,
        legal_notice=_text_lines(settings.legal_notice),
        legal_text=_text_lines(choose(settings.legal_text)),
        withdrawal_url=choose(settings.withdrawal_url) or None,
        support_email=settings.support_address,
        color=settings.brand_color,
        tint=tint(settings.brand_color),
        button_color=button_color,
        # A lightened button keeps the brand colour in its border.
        button_border=f"2px solid {settings.brand_color}" if text_on_button == "#000000" else "0",
        text_on_button=text_on_button,
        color_dark=color_dark,
        tint_dark=dark_tint(color_dark),
        text_on_color_dark=on_color(color_dark),
    )


def order_view(order: Order, locale: Locale, _: Callable[[str], str], max_lines: int) -> OrderView:
    """Return `order` in `locale`, with its labels translated by `_` and at most `max_lines` in `shown_lines`."""
    totals = add_up(order)
    times = _("%(quantity)s × %(price)s")
    lines = tuple(_line_view(item, order, locale, times) for item in order.items)
    shown_lines = lines[:max_lines]

    def amount(row: Sum) -> str:
        is_free = row.kind == "shipping" and not row.amount
        return _("Free") if is_free else format_money(row.amount, order.currency, locale)

    return OrderView(
        number=order.number or order.order_id,
        date=format_date(order.order_date, locale),
        customer_name=order.customer.name,
        item_names=_item_names(order, locale),
        lines=lines,
        shown_lines=shown_lines,
        hidden_count=len(lines) - len(shown_lines),
        hidden_total=format_money(_sum_of(order.items[max_lines:], order.currency), order.currency, locale),
        sums=_sum_views(totals.rows, row_labels(order, totals, locale, _), amount),
        total=format_money(order.total, order.currency, locale),
        included=_sum_views(totals.included, included_labels(order, locale, _), amount),
        shipping_method=order.shipping_method,
        estimated_delivery=format_date(order.estimated_delivery, locale) if order.estimated_delivery else None,
        arrival=format_weekday(order.estimated_delivery, locale) if order.estimated_delivery else None,
        shipping_address=address_lines(order.shipping_address, locale),
        billing_address=address_lines(order.billing_address, locale),
        address=order.customer.address,
        phone=order.customer.phone,
        payment_method=order.payment_method,
        url=order.order_url,
        invoice_url=order.invoice_url,
        withdrawal_url=order.withdrawal_url,
        notes=order.notes,
        custom=CustomView(order.custom),
    )


def shorten(view: Any, max_characters: int) -> Any:
    """Return a view, or a part of one, with every text cut to `max_characters`. A longer link is replaced by None."""
    if isinstance(view, str):
        return view if len(view) <= max_characters else f"{view[: max_characters - 1]}…"
    if isinstance(view, tuple):
        return tuple(shorten(part, max_characters) for part in view)
    if isinstance(view, CustomView):
        return CustomView({name: shorten(text, max_characters) for name, text in view})
    if not is_dataclass(view) or isinstance(view, type):
        return view
    parts = {each.name: shorten(getattr(view, each.name), max_characters) for each in fields(view)}
    cut_links = {name: None for name, part in parts.items() if name.endswith("url") and part != getattr(view, name)}
    return replace(view, **{**parts, **cut_links})


def _item_names(order: Order, locale: Locale) -> str:
    names = [shorten(item.name, MAX_NAME) for item in order.items[:NAMED_ITEMS]]
    return join_names(names, locale) + (" …" if len(order.items) > NAMED_ITEMS else "")


def _sum_of(items: Sequence[Item], currency: str) -> Decimal:
    return sum((line_total(item, currency) for item in items), Decimal(0))


def _text_lines(setting: str) -> str | None:
    r"""Return a setting in which \n starts a new line, or None when it is empty."""
    return setting.replace("\\n", "\n") or None


def _line_view(item: Item, order: Order, locale: Locale, times: str) -> LineView:
    """Return a line in `locale`. `times` is the translated pattern of its calculation."""
    currency = order.currency
    quantity = format_quantity(item.quantity, locale)
    unit_price = format_money(item.price, currency, locale)
    total, discount = line_total(item, currency), line_discount(item, order)
    return LineView(
        name=item.name,
        variant=item.variant,
        sku=item.sku,
        quantity=quantity,
        unit_price=unit_price,
        calculation=times % {"quantity": quantity, "price": unit_price},
        discount=format_money(-discount, currency, locale) if discount else None,
        original_total=format_money(total + discount, currency, locale) if discount else None,
        total=format_money(total, currency, locale),
        image_url=item.image_url,
        url=item.url,
    )


def _sum_views(rows: Sequence[Sum], labels: dict[str, str], amount: Callable[[Sum], str]) -> tuple[SumView, ...]:
    return tuple(SumView(row.label or labels[row.kind], amount(row)) for row in rows)
