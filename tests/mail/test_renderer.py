"""The mail, rendered with the built-in templates."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest
from factories import make_full_order
from renderers import shared_renderer

from orderconfirm.mail.renderer import MailRenderer
from orderconfirm.mail.text_filters import width
from orderconfirm.models import Email
from orderconfirm.order.models import Address, Adjustment, Customer, Item, Order
from orderconfirm.order.serialization import canonical, to_order
from orderconfirm.settings import ROOT, Settings

TEMPLATES = ROOT / "templates"
ACCEPTED_AT = datetime(2025, 3, 15, 14, 30, tzinfo=UTC)
HOSTILE = """<b onclick="x">&amp; 'q' {{ 7*7 }} 100% %(name)s"""


class Page(HTMLParser):
    """The tags, attributes and words of a page, as an HTML parser reads them."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.words += " "

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] != ["script"]:
            self.words += data

    @property
    def text(self) -> str:
        return " ".join(self.words.split())


def sample(**changes: Any) -> Order:
    body = json.loads((ROOT / "examples" / "order.json").read_text(encoding="utf-8"), parse_float=Decimal)
    for item in body["items"]:
        item["quantity"] = Decimal(item["quantity"])
    order = to_order(canonical(body), {"currency": "USD", "locale": "en", "timezone": "UTC"}, ACCEPTED_AT)
    return replace(order, **changes)


def minimal(**changes: Any) -> Order:
    order = Order(
        order_id="1",
        customer=Customer("Ann", "ann@example.com"),
        items=(Item("Pen", Decimal(1), Decimal(3)),),
        total=Decimal(3),
        currency="USD",
        locale="en",
        order_date=ACCEPTED_AT,
    )
    return replace(order, **changes)


def render(order: Order, settings: Settings | None = None) -> Email:
    return shared_renderer(settings or Settings()).render(order)


@pytest.mark.parametrize(
    "words",
    [
        *("Hello John Doe,", "ORD-12345", "Wireless Headphones", "Phone Case", "$79.99", "2 × $19.99", "$39.98"),
        *(
            "$119.97",
            "March 15, 2025",
            "Arrives Thursday, March 20",
            "Express",
            "123 Main St, Anytown, USA",
            "+1 555-123-4567",
        ),
        *("Our Shop", "orders@shop.example"),
    ],
)
def test_both_parts_show_the_sample_order(words: str) -> None:
    email = render(sample())
    assert words in email.text
    assert words in Page(email.html).text


def test_the_subject_contains_the_order_number() -> None:
    assert render(sample()).subject == "Order ORD-12345 confirmed"


def test_each_amount_is_in_the_row_of_its_item() -> None:
    lines = render(sample()).text.split("\n")
    at = lines.index("-" * 60) + 1
    assert [line.split("  ")[0] + "|" + line.split("  ")[-1].strip() for line in lines[at : at + 4]] == [
        "Wireless Headphones|$79.99",
        "|1 × $79.99",
        "Phone Case|$39.98",
        "|2 × $19.99",
    ]


@pytest.mark.parametrize(
    ("label", "amount"),
    [
        ("Subtotal", "$3.00"),
        ("Discount", "\u2212$1.00"),
        ("Shipping", "$5.00"),
        ("Gift", "$2.00"),
        ("Something", "$4.00"),
    ],
)
def test_every_sum_is_next_to_its_label(label: str, amount: str) -> None:
    email = render(replace(make_full_order(), adjustments=(Adjustment("Gift", Decimal(2)),)))
    assert re.search(rf"^{label} +{re.escape(amount)}$", email.text, re.MULTILINE)
    assert re.search(rf"\b{label}\s+{re.escape(amount)}", Page(email.html).text)


def test_tax_included_in_the_prices_is_shown_below_the_total() -> None:
    email = render(minimal(tax=Decimal("0.50"), tax_included=True))
    assert re.search(r"^Total +\$3\.00\nTax included +\$0\.50$", email.text, re.MULTILINE)
    assert re.search(r"Total\s+\$3\.00\s+Tax included\s+\$0\.50", Page(email.html).text)


@pytest.mark.parametrize(
    ("locale", "label", "name", "included"),
    [
        ("en-US", None, "Tax", "Tax included"),
        ("en-GB", None, "VAT", "VAT included"),
        ("en-AU", None, "GST", "GST included"),
        ("de", None, "MwSt.", "Enthaltene MwSt."),
        ("fr", None, "TVA", "Dont TVA"),
        ("fr-CA", None, "Taxes", "Dont Taxes"),
        ("ja", None, "消費税", "うち消費税"),
        ("ar", None, "ضريبة القيمة المضافة", "منها ضريبة القيمة المضافة"),
        ("de", "USt. 19 %", "USt. 19 %", "Enthaltene USt. 19 %"),
        ("en", "100% tax", "100% tax", "100% tax included"),
    ],
)
def test_the_tax_has_the_name_of_its_country_or_of_the_shop(
    locale: str, label: str | None, name: str, included: str
) -> None:
    order = minimal(locale=locale, tax=Decimal(1), tax_label=label)
    added, contained = (
        replace(order, total=Decimal(4), tax_included=False),
        replace(order, tax_included=True),
    )
    assert re.search(rf"^{re.escape(name)}  ", render(added).text, re.MULTILINE)
    assert re.search(rf"^{re.escape(included)}  ", render(contained).text, re.MULTILINE)
    assert included in Page(render(contained).html).text


def test_shipping_for_nothing_is_free() -> None:
    email = render(minimal(shipping_cost=Decimal(0), locale="de"))
    assert re.search(r"^Versandkosten +Kostenlos$", email.text, re.MULTILINE)
    assert re.search(r"Versandkosten\s+Kostenlos", Page(email.html).text)


def test_a_line_below_its_price_shows_discount_and_original_total_in_both_parts() -> None:
    item = Item("Pen", Decimal(2), Decimal(5), line_total=Decimal(8))
    email = render(minimal(items=(item,), total=Decimal(8)))
    assert "  2 × $5.00\n  Subtotal $10.00\n  Discount \u2212$2.00\n" in email.text
    assert "2 × $5.00 Discount \u2212$2.00 $8.00 Subtotal $10.00" in Page(email.html).text
    assert "<s>$10.00</s>" in email.html


def test_the_price_precedes_the_quantity_in_japanese() -> None:
    assert "￥5 × 2" in render(minimal(items=(Item("筆", Decimal(2), Decimal(5)),), currency="JPY", locale="ja")).text


def test_a_list_of_mails_shows_the_items_and_their_arrival() -> None:
    names = ("Blanket", "Napkins", "Tea")
    items = tuple(Item(name, Decimal(1), Decimal(1)) for name in names)
    order = minimal(items=items, estimated_delivery=datetime(2025, 3, 20, tzinfo=UTC))
    assert "Blanket, Napkins … · Arrives Thursday, March\u00a020\u2007" in render(order).html
    assert "Blanket、Napkins … · お届け予定日：3月20日(木曜日)\u2007" in render(replace(order, locale="ja")).html


@pytest.mark.parametrize("make", [minimal, sample, make_full_order])
def test_absent_values_are_not_shown_as_none(make: Any) -> None:
    email = render(make())
    assert "None" not in email.subject + email.text + email.html
    assert "undefined" not in (email.text + email.html).lower()


def test_a_minimal_order_has_no_empty_section() -> None:
    email = render(minimal())
    headings = "address|Shipping|Payment|Phone|Notes|View your|Withdraw|Expected|SKU|Subtotal"
    assert not re.search(headings, email.text)
    assert not re.search(headings, Page(email.html).text)


def test_hostile_data_adds_no_markup_and_is_shown_unchanged() -> None:
    hostile, harmless = (
        Page(render(make_full_order(HOSTILE)).html),
        Page(render(make_full_order("A harmless text")).html),
    )
    assert hostile.tags == harmless.tags
    assert hostile.attributes == harmless.attributes
    assert hostile.text.count(HOSTILE) == harmless.text.count("A harmless text") > 15


def test_hostile_data_is_unchanged_in_text_and_subject() -> None:
    email = render(make_full_order(HOSTILE))
    assert email.subject == f"Order {HOSTILE} confirmed"
    assert " ".join(email.text.split()).count(HOSTILE) == render(make_full_order("A harmless text")).text.count(
        "A harmless text"
    )
    assert "49" not in email.text


def test_a_hostile_shop_name_is_escaped() -> None:
    settings = Settings(company_name=HOSTILE, company_address=HOSTILE)
    hostile, harmless = (
        Page(render(minimal(), settings).html),
        Page(render(minimal(), Settings(company_address="A")).html),
    )
    assert hostile.tags == harmless.tags
    assert HOSTILE in hostile.text


def test_links_and_pictures_keep_their_urls() -> None:
    email = render(make_full_order())
    urls = [value for name, value in Page(email.html).attributes if name in ("href", "src")]
    assert "https://shop.example/a?x=1&y=2" in urls
    assert "https://shop.example/a.png?x=1&y=2" in urls
    assert "https://shop.example/orders/1?x=1&y=2" in urls
    assert "\nhttps://shop.example/orders/1?x=1&y=2\n" in email.text


@pytest.mark.parametrize("text", ["word " * 40, "注文番号" * 40, "x" * 200])
def test_the_text_is_at_most_sixty_columns_wide(text: str) -> None:
    order = minimal(
        customer=Customer(text, "ann@example.com", text, text),
        items=(Item(text, Decimal(1), Decimal(3), variant=text, sku=text),),
        shipping_address=Address((text,), text, text, text),
        notes=text,
    )
    assert max(map(width, render(order).text.split("\n"))) <= 60


@pytest.mark.parametrize(
    ("locale", "lang", "direction"),
    [
        ("en", "en", "ltr"),
        ("de-AT", "de-AT", "ltr"),
        ("ar", "ar", "rtl"),
        ("ar-EG", "ar-EG", "rtl"),
        ("he", "he", "rtl"),
        ("zz", "en", "ltr"),
    ],
)
def test_the_page_declares_its_language_and_direction(locale: str, lang: str, direction: str) -> None:
    page = Page(render(minimal(locale=locale)).html)
    assert page.tags[0] == "html"
    assert page.attributes[:2] == [("lang", lang), ("dir", direction)]


def test_styles_are_inlined_and_only_media_queries_stay_in_the_head() -> None:
    html = render(minimal()).html
    assert '<td class="card" style="padding:28px 36px' in html
    assert html.count("@media") == 3
    assert ".card { padding: 28px" not in html


def test_the_mail_shows_the_shop_settings() -> None:
    settings = Settings(
        company_name="Müller & Söhne",
        company_address="Weg 1\\n10115 Berlin",
        website_url="https://mueller.example/",
        logo_url="https://mueller.example/logo.png",
        support_email="hilfe@mueller.example",
        brand_color="#ffcc00",
    )
    email = render(make_full_order(), settings)
    assert email.subject == "Order Something confirmed"
    for words in ("Weg 1\n10115 Berlin", "https://mueller.example/", "hilfe@mueller.example"):
        assert words in email.text
    attributes = Page(email.html).attributes
    assert ("src", "https://mueller.example/logo.png") in attributes
    assert ("href", "mailto:hilfe@mueller.example") in attributes
    assert ("bgcolor", "#ffcc00") in attributes


def test_a_renderer_is_deterministic_and_keeps_orders_apart() -> None:
    renderer = MailRenderer(Settings(), [TEMPLATES])
    first, other, again = renderer.render(sample()), renderer.render(minimal(locale="de")), renderer.render(sample())
    assert first == again
    assert "John Doe" not in other.text + other.html
