"""Orders as the schema reads them, and what it finds wrong with them."""

from __future__ import annotations

from typing import Any

import pytest
from factories import make_body

from orderconfirm.errors import InvalidOrder
from orderconfirm.order.schemas import OrderSchema, load_order

SCHEMA = OrderSchema()


ITEM = {"name": "Mug", "quantity": 1, "price": "9.99"}


def load(**changes: Any) -> dict[str, Any]:
    return load_order(SCHEMA, make_body(**changes))[0]


def ignored(**changes: Any) -> list[str]:
    return load_order(SCHEMA, make_body(**changes))[1]


def errors(body: Any = None, **changes: Any) -> dict[str, str]:
    """Pointer → detail."""
    with pytest.raises(InvalidOrder) as caught:
        load_order(SCHEMA, make_body(**changes) if body is None else body)
    told = {fault.pointer: fault.detail for fault in caught.value.errors}
    assert len(told) == len(caught.value.errors), "one fault a pointer"
    return told


def customer(**changes: Any) -> dict[str, Any]:
    return {"customer": {"name": "John Doe", "email": "john@example.com", **changes}}


def item(**changes: Any) -> dict[str, Any]:
    return {"items": [{**ITEM, **changes}]}
