"""The order as JSON-LD: the fields of Google's reference, and no text that could end the script element."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal
from operator import attrgetter

import pytest

from orderconfirm.mail.json_ld import MAX_ITEMS, order_script
from orderconfirm.mail.template_context import CompanyView, company_view
from orderconfirm.order.models import Item, Order
from orderconfirm.order.samples import FULL, LONG, SAMPLES, SMALLEST
from orderconfirm.settings import Settings


def company(**settings: str) -> CompanyView:
    return company_view(Settings(**settings), attrgetter("plain"))


def json_ld(order: Order, website_url: str = "") -> dict[str, object]:
    script = order_script(order, company(company_name="Acme", website_url=website_url))
    match = re.fullmatch(r'<script type="application/ld\+json">(.*)</script>', script, re.DOTALL)
    assert match
    data: dict[str, object] = json.loads(match[1])
    return data


def test_the_required_fields_are_present() -> None:
    data = json_ld(FULL)
    assert (data["@type"], data["orderNumber"], data["price"], data["priceCurrency"]) == (
        "Order",
        "R-100482",
        "151.95",
        "EUR",
    )
    assert data["merchant"] == data["seller"] == {"@type": "Organization", "name": "Acme"}
    assert data["orderStatus"] == "https://schema.org/OrderProcessing"
    assert data["potentialAction"] == {"@type": "ViewAction", "target": "https://shop.example/orders/R-100482"}
    assert data["partOfInvoice"] == {"@type": "Invoice", "url": "https://shop.example/orders/R-100482/invoice.pdf"}
    offers = data["acceptedOffer"]
    assert isinstance(offers, list)
    assert offers[0] == {
        "@type": "Offer",
        "itemOffered": {
            "@type": "Product",
            "name": "Wool blanket",
            "sku": "WB-130-MG",
            "url": "https://shop.example/blanket",
            "image": "https://shop.example/blanket.jpg",
        },
        "price": "89.00",
        "priceCurrency": "EUR",
        "eligibleQuantity": {"@type": "QuantitativeValue", "value": "1"},
    }


def test_absent_values_are_left_out() -> None:
    assert not {"url", "potentialAction"} & set(json_ld(SMALLEST))


def test_without_a_link_to_the_order_the_action_leads_to_the_shop() -> None:
    data = json_ld(SMALLEST, "https://acme.example")
    assert data["potentialAction"] == {"@type": "ViewAction", "target": "https://acme.example"}
    assert "url" not in data


def test_a_long_order_includes_only_its_first_items() -> None:
    offers = json_ld(LONG)["acceptedOffer"]
    assert isinstance(offers, list) and len(offers) == MAX_ITEMS


@pytest.mark.parametrize("order", SAMPLES.values(), ids=SAMPLES)
def test_no_text_can_end_the_script(order: Order) -> None:
    assert set("<>&\u2028\u2029") & set(order_script(order, company(company_name="</script>"))[36:-9]) == set()


@pytest.mark.parametrize("name", ["</script><b>", "<!--", "\u2028\u2029", '"\\', "\x00\x1f", "👩‍🚀"])
def test_every_text_survives_the_encoding(name: str) -> None:
    data = json_ld(replace(SMALLEST, items=(Item(name, Decimal(1), Decimal(1)),)))
    offers = data["acceptedOffer"]
    assert isinstance(offers, list)
    assert offers[0]["itemOffered"]["name"] == name
