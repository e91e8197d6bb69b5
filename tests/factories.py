"""Orders for tests."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from orderconfirm.order.models import Customer, Item, Order

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
