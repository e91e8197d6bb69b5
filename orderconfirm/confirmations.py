"""What can be done with an order: place it, ask for it. The one door between the web and the outbox."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from orderconfirm.errors import FieldError, InvalidOrder, OrderConflict, WrongState
from orderconfirm.mail.renderer import MailRenderer
from orderconfirm.models import (
    DEFAULT_SHOP,
    ClaimedMail,
    Email,
    NewMail,
    Order,
    OutboxEntry,
    RelayEvent,
    Resend,
    Search,
    State,
)
from orderconfirm.order.serialization import canonical, differences, encode, fingerprint, to_order
from orderconfirm.order.totals import add_up, describe_difference
from orderconfirm.outbox.admin import OutboxAdmin
from orderconfirm.outbox.delivery_events import DeliveryEventStore
from orderconfirm.outbox.queue import AddResult, OutboxQueue
from orderconfirm.settings import Settings

log = logging.getLogger(__name__)

#: States that end by themselves.
_MOVING = (State.QUEUED, State.SENDING)
#: Seconds between two looks at a mail that somebody waits for.
POLL_INTERVAL = 0.05


@dataclass(frozen=True, slots=True)
class PlaceResult:
    """An order that is on disk. `is_new` is False for one that was there already: no second mail goes out."""

    entry: OutboxEntry
    is_new: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """A mail that was only looked at."""

    email: Email
    warnings: tuple[str, ...]


class OrderConfirmations:
    """The verbs. `wake` is called when a mail became due."""

    def __init__(
        self,
        queue: OutboxQueue,
        admin: OutboxAdmin,
        deliveries: DeliveryEventStore,
        renderer: MailRenderer,
        settings: Settings,
        wake: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._admin = admin
        self._deliveries = deliveries
        self._renderer = renderer
        self._settings = settings
        self._wake = wake

    def place(self, shop: str, said: Mapping[str, Any], idempotency_key: str | None = None) -> PlaceResult:
        """Take in a validated order; on return it is on disk, and its mail will be sent, unless it is held.

        Raises OrderConflict when another order has its id, KeyConflict when another body came with its key,
        InvalidOrder when totals are strict and do not add up, OutboxUnavailable when nothing could be stored.
        """
        sent, defaults, order, warning = self._read(said)
        if warning and self._settings.strict_totals:
            raise InvalidOrder([FieldError("/total", warning)])
        result = self._queue.add(
            NewMail(
                shop=shop,
                order_id=order.order_id,
                message_id=self._message_id(shop, order.order_id, 0),
                recipient=order.customer.email,
                sent=sent,
                defaults=defaults,
                fingerprint=fingerprint(sent),
                send_before=order.send_before,
                idempotency_key=idempotency_key,
            )
        )
        if result.is_new:
            self._wake()
            # Quiet unless there is something to say: each line costs the intake, and the outbox has it all.
            held = result.entry.reason
            level = logging.WARNING if warning or held else logging.DEBUG
            words = {"order_id": order.order_id, "shop": shop, "warning": warning, "held": held}
            log.log(level, "order accepted", extra=words)
        else:
            _expect_same(result, sent)
        return PlaceResult(result.entry, result.is_new, (warning,) if warning else ())

    def preview(self, said: Mapping[str, Any]) -> Preview:
        """The mail that a validated order would become; nothing is stored or sent. Raises TemplateError."""
        _, _, order, warning = self._read(said)
        return Preview(self._renderer.render(order), (warning,) if warning else ())

    def draft(self, said: Mapping[str, Any]) -> ClaimedMail:
        """A validated order as if it had just been claimed, for a try past the outbox."""
        sent, defaults, order, _ = self._read(said)
        now = datetime.now(UTC)
        return ClaimedMail(
            id=0,
            shop=DEFAULT_SHOP,
            order_id=order.order_id,
            message_id=self._message_id(DEFAULT_SHOP, order.order_id, 0),
            payload=encode({"sent": sent, "defaults": defaults}),
            accepted_at=now,
            tried_at=None,
            claimed_at=now,
            send_before=None,
            attempts=0,
            possible_copies=0,
            lease_token="",
            recipient=order.customer.email,
        )

    def status(self, shop: str, order_id: str) -> OutboxEntry | None:
        """Where the order's mail is and what happened to it; None for an order that was never placed."""
        return self._admin.find(shop, order_id)

    def outcome(self, shop: str, order_id: str, seconds: float) -> OutboxEntry | None:
        """The same, once the mail is out or has ended, or after `seconds`."""
        end = time.monotonic() + seconds
        while True:
            entry = self._admin.find(shop, order_id)
            if entry is None or entry.state not in _MOVING or time.monotonic() >= end:
                return entry
            time.sleep(POLL_INTERVAL)

    def search(self, shop: str, wanted: Search, cursor: str | None, most: int) -> tuple[list[OutboxEntry], str | None]:
        """A page of mails, newest first, and the cursor of the next. Raises ValueError for a bad cursor."""
        return self._admin.search(shop, wanted, cursor, most)

    def resend(self, wanted: Resend) -> PlaceResult | None:
        """A new mail for a known order, under a new Message-ID; None for an unknown order.

        Raises WrongState while its last mail is on its way, ContentDeleted when nothing is left to send, KeyConflict
        when its key came with another request.
        """
        done = self._admin.resend(wanted, lambda revision: self._message_id(wanted.shop, wanted.order_id, revision))
        if done is None:
            return None
        entry, is_new = done
        if is_new:
            self._wake()
            log.info("order sent again", extra={"order_id": wanted.order_id, "shop": wanted.shop})
        return PlaceResult(entry, is_new, ())

    def cancel(self, shop: str, order_id: str) -> OutboxEntry | None:
        """Withdraw a mail that is not sent; None for an unknown order.

        Raises WrongState when it is too late. An erased order stays as it is.
        """
        is_cancelled = self._admin.cancel(shop, order_id)
        entry = self._admin.find(shop, order_id)
        if entry and not is_cancelled and not entry.is_erased and entry.state is not State.CANCELLED:
            raise WrongState(f"its mail is {entry.state}")
        return entry

    def erase(self, shop: str, order_id: str) -> bool:
        """Delete everything personal of an order; its id stays known. False for an unknown order.

        Raises WrongState while a mail of it is on its way.
        """
        return self._admin.erase(shop, order_id)

    def record_events(self, events: Collection[RelayEvent]) -> int:
        """Keep what the relay tells of sent mails, each event once; returns how many are new."""
        return self._deliveries.record(events)

    def _read(self, said: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, object], Order, str | None]:
        """What the shop said in canonical form, what we add to it, the order they make, and what does not add up."""
        sent = canonical(said)
        defaults: dict[str, object] = {
            "currency": self._settings.default_currency,
            "locale": self._settings.default_locale,
        }
        order = to_order(sent, defaults, datetime.now(UTC))
        return sent, defaults, order, describe_difference(order, add_up(order))

    def _message_id(self, shop: str, order_id: str, revision: int) -> str:
        """The same for every copy of one mail, so that receivers can drop a double; no host name in it."""
        digest = sha256(encode({"shop": shop, "order_id": order_id, "revision": str(revision)}).encode()).hexdigest()
        return f"<{digest[:32]}@{self._settings.sender_address.rpartition('@')[2]}>"


def _expect_same(result: AddResult, sent: dict[str, Any]) -> None:
    if result.fingerprint == fingerprint(sent):
        return
    stored = json.loads(result.payload)["sent"] if result.payload else None
    raise OrderConflict(result.entry.order_id, differences(stored, sent) if stored else [])
