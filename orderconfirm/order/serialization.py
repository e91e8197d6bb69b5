"""The canonical form in which orders are stored, fingerprinted and compared, and its decoding to an `Order`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import cache, partial
from hashlib import sha256
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

from orderconfirm.errors import UnreadableOrder
from orderconfirm.order.models import Order


def canonical(value: Any) -> Any:
    """Return `value` in JSON types, with amounts as strings and times in ISO 8601. Equal orders have equal forms."""
    if isinstance(value, Mapping):
        return {name: canonical(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(inner) for inner in value]
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.isoformat()
    return value


_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def encode(value: Mapping[str, Any]) -> str:
    """Return canonical JSON text: sorted keys, no blanks."""
    return _encoder.encode(value)


def fingerprint(request: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a canonical request. Two requests for the same order have the same fingerprint."""
    return sha256(encode(request).encode()).hexdigest()


def differences(old: Any, new: Any, prefix: str = "") -> list[str]:
    """Return JSON pointers to the differences of two canonical values. Lists of different lengths differ as a whole."""
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


def read_order(payload: str, accepted_at: datetime) -> Order:
    """Return the order of a stored payload. Raises UnreadableOrder when it is damaged."""
    try:
        request, defaults = decode_payload(payload)
        return to_order(request, defaults, accepted_at)
    except (KeyError, TypeError, ValueError, ArithmeticError) as exc:
        raise UnreadableOrder(f"the stored order cannot be read: {type(exc).__name__}: {exc}") from exc


def to_order(request: Mapping[str, Any], defaults: Mapping[str, Any], accepted_at: datetime) -> Order:
    """Return the order of a canonical request and the defaults. `accepted_at` replaces a missing order date.

    Fields and types are those of the dataclasses in `order.models`. Raises KeyError, ValueError, ArithmeticError or
    TypeError for input that is not in canonical form.
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


def to_request(order: Order) -> dict[str, Any]:
    """Return the canonical request that places an order. Absent fields are omitted."""
    request: dict[str, Any] = _without_absent(canonical(asdict(order)))
    return request


def _without_absent(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_absent(inner) for name, inner in value.items() if inner not in (None, [], {})}
    return [_without_absent(inner) for inner in value] if isinstance(value, list) else value


T = TypeVar("T")


def _decode(model: Callable[..., T], data: Mapping[str, Any]) -> T:
    decoders = _decoders(model)
    return model(**{name: decoders[name](value) for name, value in data.items()})


@cache
def _decoders(model: Callable[..., Any]) -> dict[str, Callable[[Any], Any]]:
    return {name: _decoder(hint) for name, hint in get_type_hints(model).items()}


def _decoder(hint: Any) -> Callable[[Any], Any]:
    """Return the function that decodes a value of type `hint` from its canonical form."""
    if get_origin(hint) is UnionType:  # X | None; None is not stored
        hint = get_args(hint)[0]
    if get_origin(hint) is tuple:
        decode_part = _decoder(get_args(hint)[0])
        return lambda parts: tuple(decode_part(part) for part in parts)
    if get_origin(hint) is dict:
        return dict
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


def _in_zone(time: datetime, zone: ZoneInfo) -> datetime:
    """Return `time` in `zone`. Exact midnight is returned unchanged: shops use it for a day without a time."""
    is_day = not (time.hour or time.minute or time.second or time.microsecond)
    return time if is_day else time.astimezone(zone)
