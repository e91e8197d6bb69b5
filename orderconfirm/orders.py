"""What can be done with an order: place it, ask for it. The one door between the web and the outbox."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from orderconfirm.canonical import canonical, differences, encode, fingerprint, to_order
from orderconfirm.errors import Fault, InvalidOrder, OrderConflict
from orderconfirm.mail.compose import Composer
from orderconfirm.models import DEFAULT_SHOP, ClaimedMail, Email, NewMail, Order, OutboxEntry
from orderconfirm.outbox.desk import Desk
from orderconfirm.outbox.store import Receipt, Store
from orderconfirm.settings import Settings
from orderconfirm.totals import add_up, describe_difference

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that is on disk. `is_new` is False for one that was there already: no second mail goes out."""

    entry: OutboxEntry
    is_new: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """A mail that was only looked at."""

    email: Email
    warnings: tuple[str, ...]


class Orders:
    """The verbs. `wake` is called when a mail became due."""

    def __init__(
        self, store: Store, desk: Desk, composer: Composer, settings: Settings, wake: Callable[[], None]
    ) -> None:
        self._store = store
        self._desk = desk
        self._composer = composer
        self._settings = settings
        self._wake = wake

    def place(self, shop: str, said: Mapping[str, Any]) -> Placed:
        """Take in a validated order; on return it is on disk, and its mail will be sent.

        Raises OrderConflict when another order has its id, InvalidOrder when totals are strict and do not add up,
        OutboxUnavailable when nothing could be stored.
        """
        sent, defaults, order, warning = self._read(said)
        if warning and self._settings.strict_totals:
            raise InvalidOrder([Fault("/total", warning)])
        receipt = self._store.add(
            NewMail(
                shop=shop,
                order_id=order.order_id,
                message_id=self._message_id(shop, order.order_id),
                recipient=order.customer.email,
                sent=sent,
                defaults=defaults,
                fingerprint=fingerprint(sent),
                send_before=order.send_before,
            )
        )
        if receipt.is_new:
            self._wake()
            # Quiet unless there is something to say: each line costs the intake, and the outbox has it all.
            level = logging.WARNING if warning else logging.DEBUG
            log.log(level, "order accepted", extra={"order_id": order.order_id, "shop": shop, "warning": warning})
        else:
            _expect_same(receipt, sent)
        return Placed(receipt.entry, receipt.is_new, (warning,) if warning else ())

    def preview(self, said: Mapping[str, Any]) -> Preview:
        """The mail that a validated order would become; nothing is stored or sent. Raises TemplateError."""
        _, _, order, warning = self._read(said)
        return Preview(self._composer.compose(order), (warning,) if warning else ())

    def draft(self, said: Mapping[str, Any]) -> ClaimedMail:
        """A validated order as if it had just been claimed, for a try past the outbox."""
        sent, defaults, order, _ = self._read(said)
        now = datetime.now(UTC)
        return ClaimedMail(
            id=0,
            shop=DEFAULT_SHOP,
            order_id=order.order_id,
            message_id=self._message_id(DEFAULT_SHOP, order.order_id),
            payload=encode({"sent": sent, "defaults": defaults}),
            accepted_at=now,
            tried_at=None,
            claimed_at=now,
            send_before=None,
            attempts=0,
            possible_copies=0,
            lease_token="",
        )

    def status(self, shop: str, order_id: str) -> OutboxEntry | None:
        """Where the order's mail is and what happened to it; None for an order that was never placed."""
        return self._desk.find(shop, order_id)

    def _read(self, said: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, object], Order, str | None]:
        """What the shop said in canonical form, what we add to it, the order they make, and what does not add up."""
        sent = canonical(said)
        defaults: dict[str, object] = {
            "currency": self._settings.default_currency,
            "locale": self._settings.default_locale,
        }
        order = to_order(sent, defaults, datetime.now(UTC))
        return sent, defaults, order, describe_difference(order, add_up(order))

    def _message_id(self, shop: str, order_id: str) -> str:
        """The same for every copy of one order's mail, so that receivers can drop a double; no host name in it."""
        digest = sha256(encode({"shop": shop, "order_id": order_id, "revision": "0"}).encode()).hexdigest()
        return f"<{digest[:32]}@{self._settings.sender_address.rpartition('@')[2]}>"


def _expect_same(receipt: Receipt, sent: dict[str, Any]) -> None:
    if receipt.fingerprint == fingerprint(sent):
        return
    stored = json.loads(receipt.payload)["sent"] if receipt.payload else None
    raise OrderConflict(receipt.entry.order_id, differences(stored, sent) if stored else [])
