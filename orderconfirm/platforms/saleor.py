"""Saleor's order events, with the subscription query of `examples/saleor.graphql`, which decides what the body holds.

Saleor never repeats a delivery that was answered with 3xx or 4xx. https://docs.saleor.io/developer/extending/webhooks
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from orderconfirm.platforms.body_values import amount, find, joined, objects, postal_address, text
from orderconfirm.platforms.readings import Format, Found, Nothing, Outcome, Unreadable, found
from orderconfirm.platforms.signatures import verify_hex

_OVER = ("CANCELED", "DRAFT", "EXPIRED", "RETURNED")


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], _: float) -> bool:
    signature = headers.get("saleor-signature") or headers.get("x-saleor-signature") or ""
    return verify_hex(signature, body, secrets)


def read(topic: str, body: Any, only_paid: bool) -> Found | Nothing:
    """Return what a webhook is. With `only_paid`, an order is due once it is fully paid. Raises Unreadable."""
    source = find(body, "order")
    if not isinstance(source, Mapping):
        raise Unreadable(f"the event {topic} has no order: set up the webhook with examples/saleor.graphql")
    status = text(source, "status") or "missing"
    if status in _OVER:
        return Nothing(Outcome.NOT_DUE, f"the order's status is {status}", text(source, "id"))
    if only_paid and find(source, "isPaid") is not True:
        return Nothing(Outcome.NOT_DUE, "the order is not fully paid", text(source, "id"))
    return found(_order(source))


def _order(source: Mapping[str, Any]) -> dict[str, Any]:
    if not text(source, "id"):
        raise Unreadable("order.id is missing")
    side = "gross" if find(source, "channel", "taxConfiguration", "displayGrossPrices") is not False else "net"
    billing, shipping = find(source, "billingAddress"), find(source, "shippingAddress")
    discount = amount(source, "undiscountedTotal", side, "amount") - amount(source, "total", side, "amount")
    return {
        "order_id": text(source, "id"),
        "number": text(source, "number"),
        "order_date": text(source, "created"),
        "customer": {
            "name": _person(billing) or _person(shipping) or text(source, "userEmail"),
            "email": text(source, "userEmail"),
            "phone": text(billing, "phone") or text(shipping, "phone"),
        },
        "items": [_item(line, side) for line in objects(source, "lines")],
        "currency": text(source, "total", "gross", "currency"),
        "locale": (text(source, "languageCodeEnum") or "").replace("_", "-") or None,
        "total": amount(source, "total", "gross", "amount"),
        "tax": amount(source, "total", "tax", "amount") or None,
        "tax_included": side == "gross",
        "discount": max(discount, Decimal(0)) or None,
        "shipping_cost": amount(source, "shippingPrice", side, "amount"),
        "shipping_method": text(source, "shippingMethodName"),
        "payment_method": joined(*(text(each, "gateway") for each in objects(source, "payments")), separator=", "),
        "order_url": text(source, "redirectUrl"),
        "billing_address": _address(billing),
        "shipping_address": _address(shipping),
        "notes": text(source, "customerNote"),
    }


def _item(line: Mapping[str, Any], side: str) -> dict[str, Any]:
    return {
        "name": text(line, "translatedProductName") or text(line, "productName"),
        "quantity": amount(line, "quantity"),
        "price": amount(line, "undiscountedUnitPrice", side, "amount"),
        "line_total": amount(line, "totalPrice", side, "amount"),
        "variant": text(line, "translatedVariantName") or text(line, "variantName"),
        "sku": text(line, "productSku"),
        "image_url": text(line, "thumbnail", "url"),
    }


def _person(address: Any) -> str | None:
    return joined(text(address, "firstName"), text(address, "lastName"))


def _address(source: Any) -> dict[str, Any] | None:
    return postal_address(
        _person(source),
        *(text(source, name) for name in ("companyName", "streetAddress1", "streetAddress2")),
        city=text(source, "city"),
        region=text(source, "countryArea"),
        postcode=text(source, "postalCode"),
        country=text(source, "country", "code"),
    )


FORMAT = Format(
    name="saleor",
    topic_header="saleor-event",
    verify=verify,
    read=read,
    where_to_find_it="the webhook's secret key in Saleor's dashboard",
    how_to_switch_on="look at the webhook's last deliveries in Saleor's dashboard",
)
