"""Every field of an order is accepted by the schema and reaches the mail."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from babel import Locale

from orderconfirm.mail.template_context import order_view
from orderconfirm.order.models import Address, Adjustment, Customer, Item, Order
from orderconfirm.order.schemas import AddressSchema, AdjustmentSchema, CustomerSchema, ItemSchema, OrderSchema

SCHEMAS: dict[type, Any] = {
    Order: OrderSchema(),
    Customer: CustomerSchema(),
    Item: ItemSchema(),
    Adjustment: AdjustmentSchema(),
    Address: AddressSchema(),
}
#: Fields of a schema without a field in the model, and why.
NOT_IN_MODEL = {
    (Order, "timezone"): "applied to the order's times when the order is decoded",
}
#: Fields that `order_view` does not use, and why.
NOT_IN_MAIL = {
    (Order, "locale"): "passed to order_view as a Locale",
    (Order, "subtotal"): "the mail shows the sum of the lines, which always matches them",
    (Order, "send_before"): "a deadline for the dispatcher",
    (Customer, "email"): "the recipient of the mail",
    (Item, "product_id"): "the shop's internal id",
}

ADDRESS = Address(("1 High St",), "London", "N1", "United Kingdom")
ITEM = Item(
    name="Pen",
    quantity=Decimal(2),
    price=Decimal(3),
    product_id="P1",
    variant="blue",
    sku="PEN-1",
    image_url="https://a.example/pen.png",
    url="https://a.example/pen",
    line_total=Decimal(6),
)
TIME = datetime(2025, 3, 15, 14, 30, tzinfo=UTC)
#: An order with every field set.
ORDER = Order(
    order_id="1",
    customer=Customer("Ann", "ann@example.com", "1 High St", "555"),
    items=(ITEM,),
    total=Decimal(13),
    currency="USD",
    locale="en",
    order_date=TIME,
    shipping_method="Express",
    estimated_delivery=TIME,
    subtotal=Decimal(6),
    discount=Decimal(1),
    shipping_cost=Decimal(4),
    tax=Decimal(2),
    tax_included=False,
    adjustments=(Adjustment("Tip", Decimal(2)),),
    billing_address=ADDRESS,
    shipping_address=ADDRESS,
    payment_method="Visa",
    order_url="https://a.example/orders/1",
    notes="Ring twice",
    send_before=TIME,
)
#: Each part of `ORDER`, and a function that returns the order with another part in its place.
PARTS: dict[type, tuple[Any, Any]] = {
    Order: (ORDER, lambda order: order),
    Customer: (ORDER.customer, lambda customer: replace(ORDER, customer=customer)),
    Item: (ITEM, lambda item: replace(ORDER, items=(item,))),
    Adjustment: (ORDER.adjustments[0], lambda adjustment: replace(ORDER, adjustments=(adjustment,))),
    Address: (ADDRESS, lambda address: replace(ORDER, shipping_address=address)),
}
FIELDS = [(model, each.name) for model in SCHEMAS for each in fields(model)]


def changed(value: Any) -> Any:
    """Return another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, datetime):
        return value + timedelta(days=400)
    if isinstance(value, Decimal):
        return value + 1
    if isinstance(value, tuple):
        return tuple(changed(part) for part in value)
    if isinstance(value, Customer | Item | Adjustment | Address):
        return replace(value, **{each.name: changed(getattr(value, each.name)) for each in fields(value)})
    return f"{value}X"


def view(order: Order) -> Any:
    return order_view(order, Locale("en"), str, max_lines=10)


def field_id(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else value


@pytest.mark.parametrize(("model", "name"), FIELDS, ids=field_id)
def test_every_field_of_the_model_is_in_its_schema(model: type, name: str) -> None:
    assert name in SCHEMAS[model].fields


@pytest.mark.parametrize("model", SCHEMAS, ids=field_id)
def test_every_field_of_a_schema_is_in_its_model(model: Any) -> None:
    names = {each.name for each in fields(model)}
    exceptions = {name for part, name in NOT_IN_MODEL if part is model}
    assert set(SCHEMAS[model].fields) == names | exceptions


@pytest.mark.parametrize(("model", "name"), FIELDS, ids=field_id)
def test_every_field_of_the_model_changes_the_mail_unless_it_is_an_exception(model: type, name: str) -> None:
    part, put_back = PARTS[model]
    order = put_back(replace(part, **{name: changed(getattr(part, name))}))
    assert (view(order) == view(ORDER)) is ((model, name) in NOT_IN_MAIL)


@pytest.mark.parametrize(("model", "name"), FIELDS, ids=field_id)
def test_the_order_of_these_tests_has_every_field(model: type, name: str) -> None:
    assert getattr(PARTS[model][0], name) not in (None, ())
