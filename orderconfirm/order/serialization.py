"""The one form in which orders are stored, fingerprinted and compared, and the way back to an `Order`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import cache, partial
from hashlib import sha256
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

from orderconfirm.order.models import Order


def canonical(value: Any) -> Any:
    """Return `value` in JSON types: amounts as strings, times in ISO 8601, so that equal orders become equal."""
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
    """Return canonical JSON text: sorted keys, no blanks."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(request: Mapping[str, Any]) -> str:
    """Return a digest that two canonical requests share exactly when they are the same order."""
    return sha256(encode(request).encode()).hexdigest()


def differences(old: Any, new: Any, prefix: str = "") -> list[str]:
    """Return JSON pointers to where two canonical values differ, outermost first."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = sorted({*old, *new})
        return [p for name in names for p in differences(old.get(name), new.get(name), f"{prefix}/{name}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [p for index, (a, b) in pairs for p in differences(a, b, f"{prefix}/{index}")]
    return [] if old == new else [prefix]


def encode_payload(request: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """Return a canonical request and the service's defaults as the text that the outbox stores."""
    return encode({"request": request, "defaults": defaults})


def decode_payload(payload: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the request and the defaults of a stored payload. Raises ValueError, KeyError or TypeError."""
    stored = json.loads(payload)
    return stored["request"], stored["defaults"]


def to_order(request: Mapping[str, Any], defaults: Mapping[str, Any], accepted_at: datetime) -> Order:
    """Return the order that a canonical request and the defaults make. `accepted_at` stands in for a missing date.

    The fields and types are those of the dataclasses in `order.models`. Raises KeyError, ValueError, ArithmeticError or
    TypeError for anything that `canonical` did not write.
    """
    data = {"order_date": accepted_at.isoformat(), **defaults, **request}
    zone_name = data.pop("timezone", None)
    order = _decode(Order, data)
    if zone_name is None:
        return order
    zone = ZoneInfo(zone_name)
    delivery = order.estimated_delivery
    return replace(
        order,
        order_date=_in_zone(order.order_date, zone),
        estimated_delivery=_in_zone(delivery, zone) if delivery else None,
    )


T = TypeVar("T")


def _decode(kind: Callable[..., T], data: Mapping[str, Any]) -> T:
    decoders = _decoders(kind)
    return kind(**{name: decoders[name](value) for name, value in data.items()})


@cache
def _decoders(kind: Callable[..., Any]) -> dict[str, Callable[[Any], Any]]:
    return {name: _decoder(hint) for name, hint in get_type_hints(kind).items()}


def _decoder(hint: Any) -> Callable[[Any], Any]:
    """Return what reads a value of type `hint` from its canonical form."""
    if get_origin(hint) is UnionType:  # X | None: absent values are not stored
        hint = get_args(hint)[0]
    if get_origin(hint) is tuple:
        decode_part = _decoder(get_args(hint)[0])
        return lambda parts: tuple(decode_part(part) for part in parts)
    if isinstance(hint, type) and is_dataclass(hint):
        return partial(_decode, hint)
    return _SCALARS[hint]


def _unchanged(value: Any) -> Any:
    return value


_SCALARS: dict[Any, Callable[[Any], Any]] = {
    str: _unchanged,
    bool: _unchanged,
    Decimal: Decimal,
    datetime: datetime.fromisoformat,
}


def _in_zone(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return `moment` in `zone`. Midnight to the second is how shops write a day: that day stays the same."""
    is_day = not (moment.hour or moment.minute or moment.second or moment.microsecond)
    return moment if is_day else moment.astimezone(zone)
