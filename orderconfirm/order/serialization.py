"""An order in the one form that is stored, fingerprinted and compared, and back into an `Order`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from orderconfirm.models import Address, Adjustment, Customer, Item, Order


def canonical(value: Any) -> Any:
    """`value` in plain JSON terms: amounts as strings, times in ISO 8601, so that equal orders become equal."""
    if isinstance(value, Mapping):
        return {name: canonical(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(inner) for inner in value]
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.isoformat()
    return value


def encode(value: Mapping[str, Any]) -> str:
    """Canonical JSON text: sorted keys, no blanks."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(sent: Mapping[str, Any]) -> str:
    """A digest that two bodies share when a person would call them the same order."""
    return sha256(encode(sent).encode()).hexdigest()


def differences(old: Any, new: Any, prefix: str = "") -> list[str]:
    """JSON pointers of the places where two canonical values differ, outermost first."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = sorted({*old, *new})
        return [p for name in names for p in differences(old.get(name), new.get(name), f"{prefix}/{name}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [p for index, (a, b) in pairs for p in differences(a, b, f"{prefix}/{index}")]
    return [] if old == new else [prefix]


def to_order(sent: Mapping[str, Any], defaults: Mapping[str, Any], accepted_at: datetime) -> Order:
    """The order that a canonical body and the service's defaults make; `accepted_at` stands in for its date.

    Raises KeyError, ValueError or TypeError for anything that `canonical` did not write.
    """
    said = {**defaults, **sent}
    timezone = ZoneInfo(said["timezone"]) if said.get("timezone") else None
    order_date = _moment(said.get("order_date")) or accepted_at
    delivery = _moment(said.get("estimated_delivery"))
    return Order(
        order_id=said["order_id"],
        customer=Customer(**said["customer"]),
        items=tuple(_item(each) for each in said["items"]),
        total=Decimal(said["total"]),
        currency=said["currency"],
        locale=said["locale"],
        order_date=_in_zone(order_date, timezone),
        shipping_method=said.get("shipping_method"),
        estimated_delivery=_in_zone(delivery, timezone) if delivery else None,
        subtotal=_amount(said.get("subtotal")),
        discount=_amount(said.get("discount")),
        shipping_cost=_amount(said.get("shipping_cost")),
        tax=_amount(said.get("tax")),
        tax_included=said.get("tax_included"),
        adjustments=tuple(Adjustment(each["label"], Decimal(each["amount"])) for each in said.get("adjustments", ())),
        billing_address=_address(said.get("billing_address")),
        shipping_address=_address(said.get("shipping_address")),
        payment_method=said.get("payment_method"),
        order_url=said.get("order_url"),
        notes=said.get("notes"),
        send_before=_moment(said.get("send_before")),
    )


def _item(said: Mapping[str, Any]) -> Item:
    numbers = {name: _amount(said.get(name)) for name in ("quantity", "price", "line_total")}
    return Item(**{**said, **numbers})


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _in_zone(moment: datetime, timezone: ZoneInfo | None) -> datetime:
    """Midnight to the second is a shop's way to say a day: that day stays, in whatever zone it is read."""
    is_day = not (moment.hour or moment.minute or moment.second or moment.microsecond)
    return moment if is_day or timezone is None else moment.astimezone(timezone)


def _address(said: Mapping[str, Any] | None) -> Address | None:
    return None if said is None else Address(**{**said, "lines": tuple(said["lines"])})
