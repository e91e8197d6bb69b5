"""Orders for tests."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from orderconfirm.order.models import Address, Adjustment, Customer, Item, Order

SAMPLE = Path(__file__).parent.parent / "examples" / "order.json"


def make_body(**changes: Any) -> dict[str, Any]:
    """A fresh valid request body, with `changes` in place of its own fields."""
    return {**json.loads(SAMPLE.read_text(encoding="utf-8")), **changes}


def make_order(**changes: Any) -> Order:
    """A small order with `changes`."""
    order = Order(
        order_id="ORD-12345",
        customer=Customer("John Doe", "john.doe@example.com"),
        items=(
            Item("Wireless Headphones", Decimal(1), Decimal("79.99")),
            Item("Phone Case", Decimal(2), Decimal("19.99")),
        ),
        total=Decimal("119.97"),
        currency="USD",
        locale="en",
        order_date=datetime(2025, 3, 15, 14, 30, tzinfo=UTC),
    )
    return replace(order, **changes)


def make_full_order(text: str = "Something") -> Order:
    """An order with every field, and `text` as every free text. Its amounts add up."""
    time = datetime(2025, 3, 15, 14, 30, tzinfo=UTC)
    address = Address((text, text), text, text, text, text)
    item = Item(
        name=text,
        quantity=Decimal(2),
        price=Decimal("1.50"),
        product_id=text,
        variant=text,
        sku=text,
        image_url="https://shop.example/a.png?x=1&y=2",
        url="https://shop.example/a?x=1&y=2",
        line_total=Decimal("3.00"),
    )
    return Order(
        order_id=text,
        customer=Customer(text, "ann@example.com", text, text),
        items=(item,),
        total=Decimal("13.00"),
        currency="USD",
        locale="en",
        order_date=time,
        number=text,
        shipping_method=text,
        estimated_delivery=time,
        subtotal=Decimal("3.00"),
        discount=Decimal("1.00"),
        shipping_cost=Decimal("5.00"),
        tax=Decimal("4.00"),
        tax_included=False,
        tax_label=text,
        adjustments=(Adjustment(text, Decimal("2.00")),),
        billing_address=address,
        shipping_address=address,
        payment_method=text,
        order_url="https://shop.example/orders/1?x=1&y=2",
        invoice_url="https://shop.example/orders/1.pdf?x=1&y=2",
        withdrawal_url="https://shop.example/withdraw/1?x=1&y=2",
        notes=f"{text}\n{text}",
        custom={"gift_note": text},
        send_before=time,
    )


def body_of(order: Order) -> dict[str, Any]:
    """The request body that places `order`."""

    def in_json(value: Any) -> str:
        return value.isoformat() if isinstance(value, datetime) else str(value)

    body: dict[str, Any] = json.loads(json.dumps(asdict(order), default=in_json))
    return body
