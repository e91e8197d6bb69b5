"""Stripe's `invoice.paid`: the only event about a payment that carries its lines, at most ten of them.

It is sent for Checkout and Payment Links with invoice creation turned on. https://docs.stripe.com/api/invoices/object
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from orderconfirm.platforms.body_values import amount, find, objects, postal_address, text, unit_price
from orderconfirm.platforms.readings import Format, Found, Nothing, Outcome, Unreadable, found
from orderconfirm.platforms.signatures import verify_stripe

#: Currencies whose amounts Stripe gives without decimals, and those with three. Not ISO 4217's: for Stripe, ISK has two
#: decimals and MGA has none. https://docs.stripe.com/currencies#zero-decimal
_WITHOUT_DECIMALS = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split())
_WITH_THREE = frozenset("BHD JOD KWD OMR TND".split())


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: float) -> bool:
    return verify_stripe(headers.get("stripe-signature", ""), body, secrets, now)


def read(_: str, body: Any, only_paid: bool) -> Found | Nothing:
    """Return what an event is. Only paid invoices are reported, so `only_paid` changes nothing. Raises Unreadable."""
    event = text(body, "type") or "missing"
    if event != "invoice.paid":
        return Nothing(Outcome.OTHER_TOPIC, f"the event is {event}, not invoice.paid")
    return found(_order(find(body, "data", "object")))


def _order(source: Any) -> dict[str, Any]:
    if not text(source, "id"):
        raise Unreadable("data.object.id is missing")
    money = _Money((text(source, "currency") or "").upper())
    lines = objects(source, "lines", "data")
    items = [_item(line, money) for line in lines]
    discounts = objects(source, "total_discount_amounts")
    taxes = objects(source, "total_taxes") or objects(source, "total_tax_amounts")
    has_more = find(source, "lines", "has_more") is True
    shipping = find(source, "customer_shipping")
    return {
        "order_id": text(source, "id"),
        "number": text(source, "number"),
        "order_date": _time(find(source, "created")),
        "customer": {
            "name": text(source, "customer_name") or text(shipping, "name") or text(source, "customer_email"),
            "email": text(source, "customer_email"),
            "phone": text(source, "customer_phone") or text(shipping, "phone"),
        },
        "items": items,
        "currency": money.currency,
        "total": money.of(source, "total"),
        "tax": sum((money.of(each, "amount") for each in taxes), Decimal(0)) or None,
        "tax_included": bool(taxes) and all(_is_inclusive(each) for each in taxes),
        "discount": sum((money.of(each, "amount") for each in discounts), Decimal(0)) or None,
        "shipping_cost": money.of(source, "shipping_cost", "amount_subtotal") or None,
        # An event has at most ten lines; the invoice has all of them.
        "adjustments": [_further_lines(source, items, money)] if has_more else [],
        "order_url": text(source, "hosted_invoice_url"),
        "invoice_url": text(source, "invoice_pdf"),
        "billing_address": _address(find(source, "customer_address"), text(source, "customer_name")),
        "shipping_address": _address(find(shipping, "address"), text(shipping, "name")),
    }


class _Money:
    """Amounts of one currency, which Stripe gives as a whole number of its smallest unit."""

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self._decimals = 0 if currency in _WITHOUT_DECIMALS else 3 if currency in _WITH_THREE else 2

    def of(self, source: Any, *names: str) -> Decimal:
        return amount(source, *names).scaleb(-self._decimals)


def _item(line: Mapping[str, Any], money: _Money) -> dict[str, Any]:
    quantity = amount(line, "quantity") or Decimal(1)
    total = money.of(line, "amount")
    return {
        "name": text(line, "description"),
        "quantity": quantity,
        "price": unit_price(total, quantity),
        "line_total": total,
    }


def _further_lines(source: Any, items: Sequence[Mapping[str, Any]], money: _Money) -> dict[str, Any]:
    shown = sum((item["line_total"] for item in items), Decimal(0))
    return {"label": "Further items, see the invoice", "amount": money.of(source, "subtotal") - shown}


def _is_inclusive(tax: Mapping[str, Any]) -> bool:
    return find(tax, "inclusive") is True or text(tax, "tax_behavior") == "inclusive"


def _time(seconds: Any) -> str | None:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _address(source: Any, name: str | None) -> dict[str, Any] | None:
    """Return an address. Stripe often knows only the country."""
    if not isinstance(source, Mapping) or not (text(source, "line1") or text(source, "city")):
        return None
    return postal_address(
        name,
        text(source, "line1"),
        text(source, "line2"),
        city=text(source, "city"),
        region=text(source, "state"),
        postcode=text(source, "postal_code"),
        country=text(source, "country"),
    )


FORMAT = Format(
    name="stripe",
    topic_header="stripe-event",
    verify=verify,
    read=read,
    where_to_find_it="the endpoint's signing secret in Stripe's dashboard (whsec_…)",
    how_to_switch_on="enable the endpoint again in Stripe's dashboard: Stripe disables it after days of errors",
)
