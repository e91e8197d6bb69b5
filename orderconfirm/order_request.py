"""A shop's request for a confirmation, and the order that it makes together with the shop's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from orderconfirm.order.currencies import describe_unknown_currency
from orderconfirm.order.models import Order
from orderconfirm.order.serialization import canonical, encode, fingerprint, to_order
from orderconfirm.order.totals import Totals, add_up, describe_difference
from orderconfirm.shops import ShopProfile


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A validated request in canonical form, the shop's defaults, and the order that both make."""

    fields: dict[str, Any]
    defaults: dict[str, object]
    order: Order
    totals: Totals

    @classmethod
    def of(cls, profile: ShopProfile, body: Mapping[str, Any]) -> OrderRequest:
        """Return the request of a validated body."""
        fields = canonical(body)
        order = to_order(fields, profile.order_defaults, datetime.now(UTC))
        return cls(fields, profile.order_defaults, order, add_up(order))

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.fields)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the shop should know about an order that is accepted all the same."""
        found = (describe_difference(self.order, self.totals), describe_unknown_currency(self.order.currency))
        return tuple(filter(None, found))


def message_id(profile: ShopProfile, order_id: str, revision: int, kind: str | None = None) -> str:
    """Return the Message-ID that all copies of one mail share, so that receivers can drop a duplicate.

    A `kind` gives another mail of the same revision its own.
    """
    names = {"shop": profile.name, "order_id": order_id, "revision": str(revision)}
    identity = encode({**names, "kind": kind} if kind else names)
    digest = sha256(identity.encode()).hexdigest()
    return f"<{digest[:32]}@{profile.settings.sender_address.rpartition('@')[2]}>"
