"""Every field of an order is accepted by the schema and reaches the mail."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from babel import Locale
from factories import make_full_order

from orderconfirm.mail.renderer import MailRenderer
from orderconfirm.mail.template_context import LineView, OrderView, order_view
from orderconfirm.order.models import Address, Adjustment, Customer, Item, Order
from orderconfirm.order.samples import SAMPLES
from orderconfirm.order.schemas import AddressSchema, AdjustmentSchema, CustomerSchema, ItemSchema, OrderSchema
from orderconfirm.settings import ROOT, Settings

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
#: Fields that no template shows, and why.
NOT_IN_MAIL = {
    (Order, "order_id"): "the number stands in its place",
    (Order, "subtotal"): "the mail shows the sum of the lines, which always matches them",
    (Order, "send_before"): "a deadline for the dispatcher",
    (Customer, "email"): "the recipient of the mail",
    (Customer, "address"): "the shipping address stands in its place",
    (Item, "product_id"): "the shop's internal id",
    (Order, "custom"): "for the shop's own templates",
}
#: Fields that the HTML part alone shows, and why.
NOT_IN_TEXT = {
    (Item, "image_url"): "a picture",
    (Item, "url"): "the link of a line's name; the text has the link to the order",
}

ORDER = make_full_order()
[ITEM] = ORDER.items
#: Each part of `ORDER`, and a function that returns the order with another part in its place.
PARTS: dict[type, tuple[Any, Any]] = {
    Order: (ORDER, lambda order: order),
    Customer: (ORDER.customer, lambda customer: replace(ORDER, customer=customer)),
    Item: (ITEM, lambda item: replace(ORDER, items=(item,))),
    Adjustment: (ORDER.adjustments[0], lambda adjustment: replace(ORDER, adjustments=(adjustment,))),
    Address: (ORDER.shipping_address, lambda address: replace(ORDER, shipping_address=address)),
}
VARIABLES = [(view, each.name) for view in (OrderView, LineView) for each in fields(view)]
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
    if isinstance(value, dict):
        return {name: changed(text) for name, text in value.items()}
    if isinstance(value, Customer | Item | Adjustment | Address):
        return replace(value, **{each.name: changed(getattr(value, each.name)) for each in fields(value)})
    return f"{value}X"


@pytest.fixture(scope="module")
def renderer() -> MailRenderer:
    """Without JSON-LD: it contains every field, and would hide one that the template does not show."""
    return MailRenderer(Settings(json_ld=False), [ROOT / "templates"])


def field_id(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else value


@pytest.mark.parametrize("model", SCHEMAS, ids=field_id)
def test_a_model_and_its_schema_have_the_same_fields(model: Any) -> None:
    names = {each.name for each in fields(model)}
    exceptions = {name for part, name in NOT_IN_MODEL if part is model}
    assert set(SCHEMAS[model].fields) == names | exceptions


@pytest.mark.parametrize(("model", "name"), FIELDS, ids=field_id)
def test_every_field_of_the_model_changes_both_parts_of_the_mail_unless_it_is_an_exception(
    renderer: MailRenderer, model: type, name: str
) -> None:
    part, put_back = PARTS[model]
    value = "de" if name == "locale" else changed(getattr(part, name))
    before, after = renderer.render(ORDER), renderer.render(put_back(replace(part, **{name: value})))
    assert (before.html != after.html) is ((model, name) not in NOT_IN_MAIL)
    assert (before.text != after.text) is ((model, name) not in {**NOT_IN_MAIL, **NOT_IN_TEXT})


@pytest.mark.parametrize(("model", "name"), FIELDS, ids=field_id)
def test_the_order_of_these_tests_has_every_field(model: type, name: str) -> None:
    assert getattr(PARTS[model][0], name) not in (None, (), {})


@pytest.mark.parametrize(("view", "name"), VARIABLES, ids=field_id)
def test_every_variable_of_the_templates_has_a_value_in_a_sample(view: type, name: str) -> None:
    orders = [order_view(order, Locale("en"), str, 1) for order in SAMPLES.values()]
    views = [line for order in orders for line in order.lines] if view is LineView else orders
    assert any(getattr(each, name) for each in views)
