"""The order as schema.org JSON-LD, from which mail programs show it at a glance.

Fields by Google's reference for orders in mail: developers.google.com/workspace/gmail/markup/reference/order
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from orderconfirm.order.models import Item, Order
from orderconfirm.order.money import decimals_of, round_to

#: Lines told: what mail programs show is a summary, and each takes 300 bytes.
MOST_ITEMS = 20

#: Characters that end a script element, or a line of JavaScript, from inside a string.
_ESCAPES = {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}


def order_script(order: Order, merchant: str) -> str:
    """A script element that no text in the order can end."""
    text = json.dumps(_order(order, merchant), ensure_ascii=False, separators=(",", ":"))
    for character, escaped in _ESCAPES.items():
        text = text.replace(character, escaped)
    return f'<script type="application/ld+json">{text}</script>'


def _order(order: Order, merchant: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "Order",
        "merchant": {"@type": "Organization", "name": merchant},
        "orderNumber": order.order_id,
        "orderDate": order.order_date.isoformat(),
        "orderStatus": "https://schema.org/OrderProcessing",
        "priceCurrency": order.currency,
        "price": _amount(order.total, order.currency),
        "customer": {"@type": "Person", "name": order.customer.name},
        "acceptedOffer": [_offer(item, order.currency) for item in order.items[:MOST_ITEMS]],
    }
    if order.order_url:
        told["url"] = order.order_url
        told["potentialAction"] = {"@type": "ViewAction", "target": order.order_url}
    return told


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
