"""Shopify's webhooks about orders: `orders/create`, `orders/paid` and `orders/updated`.

All amounts are those that the customer saw and paid (`presentment_money`); the plain fields beside them are in the
shop's own currency. https://shopify.dev/docs/api/webhooks
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from orderconfirm.platforms.body_values import amount, find, joined, objects, postal_address, text
from orderconfirm.platforms.readings import Format, Found, Nothing, Outcome, Unreadable, found
from orderconfirm.platforms.signatures import verify_base64

_TOPICS = ("orders/create", "orders/paid", "orders/updated")
_PAID = ("paid", "partially_refunded")
#: The order that the test button sends, always the same.
_TEST_ORDER = "820982911946154508"


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], _: float) -> bool:
    return verify_base64(headers.get("x-shopify-hmac-sha256", ""), body, secrets)


def read(topic: str, body: Any, only_paid: bool) -> Found | Nothing:
    """Return what a webhook is. With `only_paid`, an order is due once its payment is complete. Raises Unreadable."""
    order_id = text(body, "id")
    if order_id == _TEST_ORDER:
        return Nothing(Outcome.TEST, "sent by the test button")
    if topic not in _TOPICS:
        return Nothing(Outcome.OTHER_TOPIC, f"the topic is {topic or 'missing'}, not {' or '.join(_TOPICS)}")
    if text(body, "cancelled_at"):
        return Nothing(Outcome.NOT_DUE, "the order is cancelled", order_id)
    status = text(body, "financial_status") or "missing"
    if status in ("refunded", "voided") or (only_paid and status not in _PAID):
        return Nothing(Outcome.NOT_DUE, f"the order's financial_status is {status}", order_id)
    return found(_order(body))


def _order(source: Mapping[str, Any]) -> dict[str, Any]:
    if not text(source, "id"):
        raise Unreadable("id is missing")
    email = text(source, "email") or text(source, "contact_email") or text(source, "customer", "email")
    billing, shipping = find(source, "billing_address"), find(source, "shipping_address")
    shipping_lines = objects(source, "shipping_lines")
    return {
        "order_id": text(source, "id"),
        "number": text(source, "name"),
        "order_date": text(source, "processed_at") or text(source, "created_at"),
        "customer": {
            "name": _person(find(source, "customer")) or _person(billing) or _person(shipping) or email,
            "email": email,
            "phone": text(source, "phone") or text(shipping, "phone") or text(billing, "phone"),
        },
        "items": [_item(line) for line in objects(source, "line_items")],
        "currency": text(source, "presentment_currency") or text(source, "currency"),
        "locale": text(source, "customer_locale"),
        "total": _paid(source, "total_price"),
        "tax": _paid(source, "total_tax") or None,
        "tax_included": find(source, "taxes_included") is True,
        # Without a discount on the shipping, which lowers the shipping cost itself.
        "discount": (_paid(source, "total_discounts") - sum(map(_discounts, shipping_lines))) or None,
        "shipping_cost": sum(map(_shipping, shipping_lines), Decimal(0)) if shipping_lines else None,
        "adjustments": list(_adjustments(source)),
        "shipping_method": joined(*(text(line, "title") for line in shipping_lines), separator=", "),
        "payment_method": joined(*_payment_methods(source), separator=", "),
        "order_url": text(source, "order_status_url"),
        "billing_address": _address(billing),
        "shipping_address": _address(shipping),
        "notes": text(source, "note"),
    }


def _item(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item. Its `line_total` is after the discounts on it, which its `price` does not include."""
    price, quantity = _paid(line, "price"), amount(line, "quantity")
    properties = (
        f"{text(each, 'name')}: {text(each, 'value')}"
        for each in objects(line, "properties")
        # Names that begin with _ are internal.
        if text(each, "name") and text(each, "value") and not str(text(each, "name")).startswith("_")
    )
    return {
        "product_id": text(line, "product_id"),
        "name": text(line, "title") or text(line, "name"),
        "quantity": quantity,
        "price": price,
        "line_total": price * quantity - _discounts(line),
        "variant": joined(_variant(line), *properties, separator=", "),
        "sku": text(line, "sku"),
    }


def _variant(line: Mapping[str, Any]) -> str | None:
    """Return the variant's name. A product without variants has one of this name."""
    variant = text(line, "variant_title")
    return None if variant == "Default Title" else variant


def _shipping(line: Mapping[str, Any]) -> Decimal:
    return _paid(line, "price") - _discounts(line)


def _discounts(line: Mapping[str, Any]) -> Decimal:
    """Return what discounts take off a line. `amount_set` has it in the customer's currency."""
    return sum((_paid(each, "amount") for each in objects(line, "discount_allocations")), Decimal(0))


def _adjustments(source: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if duties := amount(source, "original_total_duties_set", "presentment_money", "amount"):
        yield {"label": "Duties", "amount": duties}
    is_item = any(find(line, "tip") for line in objects(source, "line_items"))
    if not is_item and (tip := _paid(source, "total_tip_received")):
        yield {"label": "Tip", "amount": tip}


def _payment_methods(source: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of the payment methods: `shopify_payments` is Shopify Payments."""
    names = find(source, "payment_gateway_names")
    for name in names if isinstance(names, list) else []:
        if isinstance(name, str):
            yield name.replace("_", " ").title() if name.islower() else name


def _paid(source: Mapping[str, Any], name: str) -> Decimal:
    """Return an amount in the customer's currency, or the plain one where an older API version has nothing else."""
    shown = find(source, f"{name}_set", "presentment_money", "amount")
    return amount(source, name) if shown is None else amount(source, f"{name}_set", "presentment_money", "amount")


def _person(source: Any) -> str | None:
    return joined(text(source, "first_name"), text(source, "last_name")) or text(source, "name")


def _address(source: Any) -> dict[str, Any] | None:
    return postal_address(
        _person(source),
        *(text(source, name) for name in ("company", "address1", "address2")),
        city=text(source, "city"),
        region=text(source, "province_code") or text(source, "province"),
        postcode=text(source, "zip"),
        country=text(source, "country_code") or text(source, "country"),
    )


FORMAT = Format(
    name="shopify",
    topic_header="x-shopify-topic",
    verify=verify,
    read=read,
    where_to_find_it="Settings > Notifications > Webhooks, at the bottom of the page",
    how_to_switch_on="create it again in Settings > Notifications > Webhooks: Shopify deletes it after errors",
)
