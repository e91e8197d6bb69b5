"""The personal data of an order, which relays quote in their replies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from orderconfirm.order.serialization import decode_payload

#: Minimum characters of a masked word. Shorter ones say little, and are often part of what the relay means.
MIN_LENGTH = 3


def mask_personal_data(text: str, payload: str) -> str:
    """Return `text` with "…" for the names, postal addresses and telephone numbers of a stored order."""
    try:
        words = set(_words(decode_payload(payload)[0]))
    except (AttributeError, KeyError, TypeError, ValueError):
        return text  # the order is damaged
    # The longest first: a whole name, then its parts.
    found = sorted((re.escape(word) for word in words if len(word) >= MIN_LENGTH), key=len, reverse=True)
    return re.sub(rf"(?<!\w)(?:{'|'.join(found)})(?!\w)", "…", text, flags=re.IGNORECASE) if found else text


def _words(request: Mapping[str, Any]) -> Iterator[str]:
    customer = request["customer"]
    yield customer["email"].rpartition("@")[0]
    if name := customer.get("name"):
        yield from (name, *name.split())
    if phone := customer.get("phone"):
        yield from (phone, re.sub(r"\D", "", phone))
    for part in re.split(r"[,\n]", customer.get("address") or ""):
        yield part.strip()
    for address in (request.get("billing_address"), request.get("shipping_address")):
        if address:
            yield from (*address["lines"], *(address.get(name) or "" for name in ("city", "region", "postcode")))
