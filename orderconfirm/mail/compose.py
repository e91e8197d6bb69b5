"""An order becomes the mail that its customer reads: subject, plain text and HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import css_inline
import jinja2
from babel import Locale

from orderconfirm.errors import TemplateError
from orderconfirm.mail import formats, plaintext
from orderconfirm.mail.colors import on_color, on_dark
from orderconfirm.models import Address, Email, Item, Order
from orderconfirm.money import line_total
from orderconfirm.settings import Settings
from orderconfirm.totals import Sum, add_up

#: Lines shown in the HTML part. Gmail clips a mail at about 102 kB, and a line takes 0.7 kB; the text has all.
MOST_LINES = 50


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


class Composer:
    """Turns orders into mails with the templates of one folder."""

    def __init__(self, settings: Settings, folders: Sequence[Path]) -> None:
        """Compiles the templates, each from the first of `folders` that has it; raises TemplateError."""
        self._company = _company(settings)
        self._inline = css_inline.CSSInliner(
            # By default the inliner fetches whatever a <link> names, files and URLs.
            load_remote_stylesheets=False,
            keep_style_tags=False,
            keep_at_rules=False,
        ).inline
        self._html = self._template(folders, "order_confirmation.html")
        self._text = self._template(folders, "order_confirmation.txt")
        self._subject = self._template(folders, "order_confirmation.subject.txt")

    def compose(self, order: Order) -> Email:
        """The order's confirmation in its language. Raises TemplateError when a template cannot take the order."""
        locale = formats.locale_of(order.locale)
        context = self._context(order, locale)
        subject = " ".join(self._render(self._subject, context).split())
        text = plaintext.tidy(self._render(self._text, context))
        return Email(subject, text, self._inline(self._render(self._html, context)))

    def _context(self, order: Order, locale: Locale) -> dict[str, Any]:
        is_rtl = locale.text_direction == "rtl"
        return {
            "company": self._company,
            "order": _view(order, locale, str),
            "lang": str(locale).replace("_", "-"),
            "dir": "rtl" if is_rtl else "ltr",
            "start": "right" if is_rtl else "left",
            "end": "left" if is_rtl else "right",
        }

    def _template(self, folders: Sequence[Path], name: str) -> jinja2.Template:
        # No sandbox: templates are the operator's own files, and shop data never becomes a template.
        environment = jinja2.Environment(  # noqa: S701 - autoescape is for HTML alone
            loader=jinja2.FileSystemLoader(folders),
            autoescape=name.endswith(".html"),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        environment.install_null_translations(newstyle=True)  # type: ignore[attr-defined]
        environment.filters.update(columns=plaintext.columns, wrapped=plaintext.wrapped, indented=plaintext.indented)
        try:
            return environment.get_template(name)
        except jinja2.TemplateSyntaxError as wrong:
            raise TemplateError(f"{wrong.filename or name}, line {wrong.lineno}: {wrong.message}") from wrong
        except jinja2.TemplateNotFound as wrong:
            raise TemplateError(f"{folders[-1] / name} is missing") from wrong

    def _render(self, template: jinja2.Template, context: dict[str, Any]) -> str:
        try:
            return template.render(context)
        except Exception as failure:
            # A template is the shop owner's code: whatever it raises is told with the place where it stands.
            raise TemplateError(f"{_place(failure, template)}: {failure}") from failure


def _place(failure: Exception, template: jinja2.Template) -> str:
    """file, line of the innermost template frame in a traceback."""
    place = template.name or ""
    trace = failure.__traceback__
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        if filename == template.filename:
            place = f"{template.name}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _company(settings: Settings) -> CompanyView:
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


def _view(order: Order, locale: Locale, _: Callable[[str], str]) -> OrderView:
    def money(amount: Any) -> str:
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
    shown = lines if len(lines) <= MOST_LINES else lines[:MOST_LINES]
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


def _address_lines(address: Address | None) -> tuple[str, ...]:
    if address is None:
        return ()
    town = " ".join(part for part in (address.postcode, address.city) if part)
    return tuple(line for line in (*address.lines, town, address.country) if line)
