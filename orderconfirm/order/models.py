"""A valid order and its parts, as dataclasses. docs/CONTRIBUTING.md says where a new field belongs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Customer:
    """The person who ordered. `email` is an ASCII address, which every SMTP relay accepts."""

    name: str
    email: str
    address: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One line of an order. `line_total` is the shop's amount; None means price times quantity."""

    name: str
    quantity: Decimal
    price: Decimal
    product_id: str | None = None
    variant: str | None = None
    sku: str | None = None
    image_url: str | None = None
    url: str | None = None
    line_total: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A fee, a tip, a gift card or any other change to the total. Negative when it lowers the total."""

    label: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address. The mail shows its parts in the order that is usual in its country."""

    lines: tuple[str, ...]
    city: str | None = None
    postcode: str | None = None
    country: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """A valid order. Amounts are `Decimal` in `currency`, times are aware, absent values are None or empty."""

    order_id: str
    customer: Customer
    items: tuple[Item, ...]
    total: Decimal
    currency: str
    locale: str
    order_date: datetime
    #: The number that the customer knows; None means the id.
    number: str | None = None
    shipping_method: str | None = None
    estimated_delivery: datetime | None = None
    subtotal: Decimal | None = None
    discount: Decimal | None = None
    shipping_cost: Decimal | None = None
    tax: Decimal | None = None
    tax_included: bool | None = None
    tax_label: str | None = None
    adjustments: tuple[Adjustment, ...] = ()
    billing_address: Address | None = None
    shipping_address: Address | None = None
    payment_method: str | None = None
    order_url: str | None = None
    invoice_url: str | None = None
    withdrawal_url: str | None = None
    notes: str | None = None
    custom: dict[str, str] = field(default_factory=dict)
    send_before: datetime | None = None
