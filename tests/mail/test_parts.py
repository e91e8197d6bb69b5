"""The HTML part and the plain text part of a mail tell the same."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from renderers import shared_renderer

from orderconfirm.mail.i18n import Languages
from orderconfirm.mail.renderer import MAX_BYTES
from orderconfirm.mail.template_context import OrderView
from orderconfirm.models import Email
from orderconfirm.order.models import Item, Order
from orderconfirm.order.samples import FULL, SAMPLES
from orderconfirm.settings import TEMPLATES, ByLanguage, Settings

SETTINGS = Settings(
    environment="production",
    company_name="Fjord & Field",
    company_address="12 Harbour Lane\\nBergen",
    legal_notice="VAT NO 123 456 789 MVA",
    returns_url="https://shop.example/returns",
    help_url="https://shop.example/help",
    legal_text=ByLanguage("You may withdraw from this contract within fourteen days.\\n\\nTerms apply."),
    withdrawal_url=ByLanguage("https://shop.example/withdraw"),
)
LANGUAGES = Languages([TEMPLATES], "en").available


class Visible(HTMLParser):
    """The visible words of an HTML part, without the preview text for lists of mails."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.words = ""
        self._hidden = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.words += " "
        if tag in ("title", "style", "script") or "display:none" in (dict(attrs).get("style") or ""):
            self._hidden = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden:
            self._hidden = ""

    def handle_data(self, data: str) -> None:
        self.words += "" if self._hidden else data


def without_spaces(text: str) -> str:
    return re.sub(r"\s|[\u2066-\u2069]", "", text)


def letters(text: str) -> Counter[str]:
    """Count the letters and digits of a text without its addresses of pages, which are links in the HTML part."""
    return Counter(filter(str.isalnum, re.sub(r"https://\S+", "", text)))


def facts(view: OrderView) -> Iterator[str]:
    """The facts that a customer must learn from each part."""
    yield from (view.number, view.date, view.total)
    for line in view.shown_lines:
        yield from (line.name, line.calculation, line.total)
        yield from filter(None, (line.variant, line.sku, line.discount, line.original_total))
    if view.hidden_count:
        yield view.hidden_total
    for row in (*view.sums, *view.included):
        yield from (row.label, row.amount)
    yield from (*view.shipping_address, *view.billing_address)
    if not view.shipping_address:
        yield view.address or ""
    yield from filter(None, (view.arrival, view.shipping_method, view.payment_method, view.phone, view.notes))


def render(order: Order) -> tuple[Email, OrderView]:
    """The mail, and the variables that its templates saw."""
    renderer = shared_renderer(SETTINGS)
    language = renderer._languages.get(order.locale)
    context, _ = renderer._fit(order, language, renderer._templates_in(language))
    return renderer.render(order), context["order"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("sample", SAMPLES)
def test_both_parts_tell_every_fact_and_nothing_else(sample: str, language: str) -> None:
    email, view = render(replace(SAMPLES[sample], locale=language))
    html = Visible(email.html).words
    for part in (without_spaces(html), without_spaces(email.text)):
        assert [fact for fact in facts(view) if without_spaces(fact) not in part] == []
        # Some languages greet without the name, which would need the vocative.
        assert (without_spaces(view.customer_name) in part) or not greets_by_name(language)
    assert letters(html) == letters(email.text)


def greets_by_name(language: str) -> bool:
    greeting = shared_renderer(SETTINGS)._languages.get(language).gettext("Hello %(name)s,")
    return "%(name)s" in greeting


def long_order(count: int) -> Order:
    items = tuple(
        Item(f"Item-{number:04d}.", Decimal(1), Decimal(2), variant="Blue", sku=f"SKU-{number}")
        for number in range(count)
    )
    return replace(FULL, items=items, total=2 * Decimal(count), subtotal=None, discount=None, adjustments=())


@pytest.mark.parametrize("count", [170, 500])
def test_a_long_order_fills_both_parts_with_the_same_lines_and_tells_the_rest(count: int) -> None:
    email, _ = render(long_order(count))
    html = Visible(email.html).words
    shown = re.findall(r"Item-\d{4}\.", html)
    assert shown == re.findall(r"Item-\d{4}\.", email.text) == [f"Item-{number:04d}." for number in range(len(shown))]
    assert MAX_BYTES * 0.96 < len(email.html.encode()) <= MAX_BYTES
    rest = count - len(shown)
    for part in (html, email.text):
        assert re.search(rf"\band {rest} more items?\s+€{2 * rest}\.00\s", part)


def test_an_order_of_120_lines_is_shown_whole() -> None:
    email, view = render(long_order(120))
    assert len(re.findall(r"Item-\d{4}\.", Visible(email.html).words)) == 120
    assert not view.hidden_count


def test_lines_of_very_different_lengths_fill_the_mail_too() -> None:
    short, long = (Item(name, Decimal(1), Decimal(1)) for name in ("x", "y" * 500))
    email, view = render(replace(FULL, items=(short,) * 100 + (long,) * 300, total=Decimal(400)))
    assert 100 < len(view.shown_lines) < 200
    assert MAX_BYTES * 0.96 < len(email.html.encode()) <= MAX_BYTES
