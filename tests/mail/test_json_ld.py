"""The order as JSON-LD: what Google's reference asks for, and nothing that could end its script element."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal

import pytest

from orderconfirm.mail.json_ld import MOST_ITEMS, order_script
from orderconfirm.order.models import Item, Order
from orderconfirm.order.samples import FULL, LONG, SAMPLES, SMALLEST


def told(order: Order) -> dict[str, object]:
    script = order_script(order, "Acme")
    found = re.fullmatch(r'<script type="application/ld\+json">(.*)</script>', script, re.DOTALL)
    assert found
    data: dict[str, object] = json.loads(found[1])
    return data


def test_it_has_what_the_reference_requires() -> None:
    data = told(FULL)
    assert (data["@type"], data["orderNumber"], data["price"], data["priceCurrency"]) == (
        "Order",
        "R-100482",
        "151.95",
        "EUR",
    )
    assert data["merchant"] == {"@type": "Organization", "name": "Acme"}
    assert data["potentialAction"] == {"@type": "ViewAction", "target": "https://shop.example/orders/R-100482"}
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


def test_what_is_not_known_is_left_out() -> None:
    assert not {"url", "potentialAction"} & set(told(SMALLEST))


def test_a_long_order_tells_its_first_items() -> None:
    offers = told(LONG)["acceptedOffer"]
    assert isinstance(offers, list) and len(offers) == MOST_ITEMS


@pytest.mark.parametrize("order", SAMPLES.values(), ids=SAMPLES)
def test_no_text_can_end_the_script(order: Order) -> None:
    assert set("<>&\u2028\u2029") & set(order_script(order, "</script>")[36:-9]) == set()


@pytest.mark.parametrize("name", ["</script><b>", "<!--", "\u2028\u2029", '"\\', "\x00\x1f", "👩‍🚀"])
def test_every_text_comes_back_as_it_went_in(name: str) -> None:
    data = told(replace(SMALLEST, items=(Item(name, Decimal(1), Decimal(1)),)))
    offers = data["acceptedOffer"]
    assert isinstance(offers, list)
    assert offers[0]["itemOffered"]["name"] == name
