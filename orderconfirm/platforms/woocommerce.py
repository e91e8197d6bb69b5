"""WooCommerce's webhooks `order.created` and `order.updated`: the whole order, as its REST API v3 shows it.

WooCommerce never repeats a delivery. Any later one about the same order makes up for a lost one, because all of them
carry the whole order. https://woocommerce.com/document/webhooks/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from orderconfirm.order.money import decimals_of, round_to
from orderconfirm.platforms.body_values import (
    amount,
    find,
    joined,
    objects,
    plain_text,
    postal_address,
    text,
    total_of,
    unit_price,
)
from orderconfirm.platforms.readings import Format, Found, Nothing, Outcome, Unreadable, found
from orderconfirm.platforms.signatures import verify_base64

#: States in which WooCommerce itself mails the customer. Orders by bank transfer or cheque are on hold until paid.
_PAID = ("processing", "completed")
_ORDERED = (*_PAID, "on-hold")
#: Orders that are over: a confirmation now would be wrong even if they were paid once.
_OVER = ("cancelled", "refunded", "failed", "trash")
#: Where translation plugins (WPML, Polylang, TranslatePress) keep the customer's language.
_LANGUAGE_KEYS = ("wpml_language", "lang", "trp_language")


def is_ping(headers: Mapping[str, str]) -> bool:
    """Whether this is the unsigned form that WooCommerce posts when a webhook is saved. It must get exactly 200."""
    return headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], _: float) -> bool:
    return verify_base64(headers.get("x-wc-webhook-signature", ""), body, secrets)


def read(topic: str, body: Any, only_paid: bool) -> Found | Nothing:
    """Return what a webhook is. With `only_paid`, an order on hold is not due yet. Raises Unreadable."""
    if topic not in ("order.created", "order.updated", "order.restored"):
        return Nothing(Outcome.OTHER_TOPIC, f"the topic is {topic or 'missing'}, not order.created or order.updated")
    if code := text(body, "code"):
        # Signed like an order, but the user who created the webhook is gone or may not read orders.
        raise Unreadable(f"WooCommerce sent the error {code} instead of the order")
    status = text(body, "status") or "missing"
    is_paid = status in _PAID or bool(text(body, "date_paid_gmt"))
    if status in _OVER or not (is_paid or (status in _ORDERED and not only_paid)):
        return Nothing(Outcome.NOT_DUE, f"the order's status is {status}", text(body, "id"))
    return found(_order(body))


def _order(source: Mapping[str, Any]) -> dict[str, Any]:
    if not text(source, "id"):
        raise Unreadable("id is missing")
    prices = _Prices(find(source, "prices_include_tax") is True, decimals_of(text(source, "currency") or ""))
    billing, shipping = find(source, "billing"), find(source, "shipping")
    coupons = objects(source, "coupon_lines")
    return {
        "order_id": text(source, "id"),
        "number": text(source, "number"),
        "order_date": _utc(text(source, "date_created_gmt")),
        "customer": {
            "name": _person(billing) or _person(shipping) or text(billing, "company") or text(billing, "email"),
            "email": text(billing, "email"),
            "phone": text(billing, "phone"),
        },
        "items": [prices.item(line) for line in objects(source, "line_items")],
        "currency": text(source, "currency"),
        "locale": _language(source),
        "total": amount(source, "total"),
        "tax": amount(source, "total_tax") or None,
        "tax_included": prices.includes_tax,
        "discount": sum((prices.of(coupon, "discount", "discount_tax") for coupon in coupons), Decimal(0)) or None,
        "shipping_cost": prices.total(objects(source, "shipping_lines")),
        "adjustments": [*prices.fees(objects(source, "fee_lines")), *_gift_cards(source)],
        "shipping_method": joined(
            *(plain_text(line, "method_title") for line in objects(source, "shipping_lines")), separator=", "
        ),
        "payment_method": plain_text(source, "payment_method_title"),
        "billing_address": _address(billing),
        "shipping_address": _address(shipping),
        "notes": text(source, "customer_note"),
    }


class _Prices:
    """The amounts of an order as its shop shows them: with tax, or without.

    WooCommerce's own are without tax in either case, each with its tax beside it. Some plugins write more decimals than
    the currency has.
    """

    def __init__(self, includes_tax: bool, decimals: int) -> None:
        self.includes_tax = includes_tax
        self._decimals = decimals

    def of(self, part: Mapping[str, Any], name: str, tax_name: str) -> Decimal:
        tax = amount(part, tax_name) if self.includes_tax else Decimal(0)
        return round_to(amount(part, name) + tax, self._decimals)

    def total(self, parts: Sequence[Mapping[str, Any]]) -> Decimal | None:
        """Return the sum of the parts; None when there are none."""
        return sum((self.of(part, "total", "total_tax") for part in parts), Decimal(0)) if parts else None

    def item(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """Return an item. Its `line_total` is after the line's own discount, which its `price` does not include."""
        quantity = amount(line, "quantity")
        return {
            "product_id": text(line, "product_id"),
            "name": plain_text(line, "name"),
            "quantity": quantity,
            "price": unit_price(self.of(line, "subtotal", "subtotal_tax"), quantity),
            "line_total": self.of(line, "total", "total_tax"),
            "variant": joined(*_choices(line), separator=", "),
            "sku": text(line, "sku"),
            "image_url": text(line, "image", "src"),
        }

    def fees(self, fees: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        for fee in fees:
            if value := self.of(fee, "total", "total_tax"):
                yield {"label": plain_text(fee, "name") or "Fee", "amount": value}


def _choices(line: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line's choices, like `Size: L`. Keys that begin with _ are internal."""
    for choice in objects(line, "meta_data"):
        name, value = plain_text(choice, "display_key"), plain_text(choice, "display_value")
        if name and value and not name.startswith("_"):
            yield f"{name}: {value}"


def _gift_cards(source: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what the Gift Cards extension has paid: its cards lower the total."""
    if value := total_of(objects(source, "gift_cards"), "amount"):
        yield {"label": "Gift card", "amount": -value}


def _language(source: Mapping[str, Any]) -> str | None:
    found = (text(each, "value") for each in objects(source, "meta_data") if text(each, "key") in _LANGUAGE_KEYS)
    return next((language for language in (text(source, "lang"), *found) if language), None)


def _person(address: Any) -> str | None:
    return joined(text(address, "first_name"), text(address, "last_name"))


def _address(source: Any) -> dict[str, Any] | None:
    return postal_address(
        _person(source),
        *(text(source, name) for name in ("company", "address_1", "address_2")),
        city=text(source, "city"),
        region=text(source, "state"),
        postcode=text(source, "postcode"),
        country=text(source, "country"),
    )


def _utc(moment: str | None) -> str | None:
    """Return a `_gmt` time with its zone, which WooCommerce leaves out."""
    return f"{moment}Z" if moment and not moment.endswith("Z") else moment


FORMAT = Format(
    name="woocommerce",
    topic_header="x-wc-webhook-topic",
    verify=verify,
    read=read,
    where_to_find_it="WooCommerce > Settings > Advanced > Webhooks > Secret",
    how_to_switch_on="set the Status to Active again in WooCommerce > Settings > Advanced > Webhooks",
    is_ping=is_ping,
)
