"""The order as schema.org JSON-LD, which mail programs read to show a summary.

The fields are those of Google's reference: developers.google.com/workspace/gmail/markup/reference/order
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from orderconfirm.mail.template_context import CompanyView
from orderconfirm.order.models import Item, Order
from orderconfirm.order.money import decimals_of, round_to

#: Items included: mail programs show a summary, and each item takes about 300 bytes.
MAX_ITEMS = 20

#: Characters that could end the script element, or a JavaScript line, within a string.
_ESCAPES = {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}


def order_script(order: Order, company: CompanyView) -> str:
    """Return the order as a script element, escaped so that no text in the order can end it."""
    text = json.dumps(_order(order, company), ensure_ascii=False, separators=(",", ":"))
    for character, escaped in _ESCAPES.items():
        text = text.replace(character, escaped)
    return f'<script type="application/ld+json">{text}</script>'


def _order(order: Order, company: CompanyView) -> dict[str, Any]:
    seller = {"@type": "Organization", "name": company.name}
    data: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "Order",
        # Google's table requires `seller`, its examples have `merchant`.
        "merchant": seller,
        "seller": seller,
        "orderNumber": order.number or order.order_id,
        "orderDate": order.order_date.isoformat(),
        "orderStatus": "https://schema.org/OrderProcessing",
        "priceCurrency": order.currency,
        "price": _amount(order.total, order.currency),
        "customer": {"@type": "Person", "name": order.customer.name},
        "acceptedOffer": [_offer(item, order.currency) for item in order.items[:MAX_ITEMS]],
    }
    if order.order_url:
        data["url"] = order.order_url
    if order.invoice_url:
        data["partOfInvoice"] = {"@type": "Invoice", "url": order.invoice_url}
    if link := order.order_url or company.website_url:
        data["potentialAction"] = {"@type": "ViewAction", "target": link}
    return data


def _offer(item: Item, currency: str) -> dict[str, Any]:
    product = {"@type": "Product", "name": item.name, "sku": item.sku, "url": item.url, "image": item.image_url}
    return {
        "@type": "Offer",
        "itemOffered": {name: value for name, value in product.items() if value},
        "price": _amount(item.price, currency),
        "priceCurrency": currency,
        "eligibleQuantity": {"@type": "QuantitativeValue", "value": f"{item.quantity:f}"},
    }


def _amount(amount: Decimal, currency: str) -> str:
    return f"{round_to(amount, decimals_of(currency)):f}"
