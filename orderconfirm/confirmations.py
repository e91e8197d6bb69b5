"""The use cases: placing, status, search, resend, cancellation and erasure, shared by the web API and the CLI."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orderconfirm.errors import FieldError, InvalidOrder, OrderConflict, OutboxUnavailable, UnconfirmedWrite, WrongState
from orderconfirm.logs import request_id
from orderconfirm.mail.shop_renderers import ShopRenderers
from orderconfirm.metrics import counters
from orderconfirm.metrics.table import ORDERS
from orderconfirm.models import (
    DEFAULT_SHOP,
    ClaimedMail,
    Email,
    NewMail,
    OutboxEntry,
    RelayEvent,
    Resend,
    State,
)
from orderconfirm.order.models import Order
from orderconfirm.order.serialization import (
    decode_payload,
    differences,
    encode_payload,
    fingerprint,
)
from orderconfirm.order.totals import describe_expected_total
from orderconfirm.order_request import OrderRequest, message_id
from orderconfirm.outbox.additions import AddResult
from orderconfirm.outbox.admin import OutboxAdmin
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.delivery_events import DeliveryEventStore
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retention import MAX_BATCH, Retention
from orderconfirm.outbox.search import OutboxSearch
from orderconfirm.outbox.senders import read_senders
from orderconfirm.outbox.stats import read_sent_per_minute, read_stats
from orderconfirm.outbox.suppressions import SuppressedAddresses
from orderconfirm.outbox.waiting import explain_waits
from orderconfirm.queries import Overview, Search
from orderconfirm.shops import Shops

log = logging.getLogger(__name__)

#: Seconds between two polls of a mail whose outcome a caller waits for.
POLL_INTERVAL = 0.05


@dataclass(frozen=True, slots=True)
class PlaceResult:
    """An order that is on disk. `is_new` is False when it had been accepted before, so that no second mail is sent."""

    entry: OutboxEntry
    is_new: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """A mail that was rendered but not stored."""

    email: Email
    warnings: tuple[str, ...]


class OrderConfirmations:
    """The use cases. Every method that reads or writes the outbox raises OutboxUnavailable when the database fails."""

    def __init__(
        self,
        database: Database,
        queue: OutboxQueue,
        renderers: ShopRenderers,
        shops: Shops,
        wake: Callable[[], None],
        is_stopping: Callable[[], bool],
    ) -> None:
        """`wake` is called when a mail becomes due. Once `is_stopping()`, no caller waits for a queued mail."""
        self._queue = queue
        #: The suppressed addresses: reads them page by page and releases them.
        self.suppressions = SuppressedAddresses(database)
        self._database = database
        self._admin = OutboxAdmin(database)
        self._search = OutboxSearch(database)
        self._retention = Retention(database)
        self._delivery_events = DeliveryEventStore(database)
        self._renderers = renderers
        self._shops = shops
        self._wake = wake
        self._is_stopping = is_stopping

    def place(self, shop: str, body: Mapping[str, Any], idempotency_key: str | None = None) -> PlaceResult:
        """Store a validated order. When this returns, the order is on disk and its mail will be sent, or is held.

        Raises OrderConflict when another order has its id, KeyConflict when another request used its key, InvalidOrder
        when totals are strict and do not add up.
        """
        profile = self._shops[shop]
        request = OrderRequest.of(profile, body)
        order, warnings = request.order, request.warnings
        if request.totals.difference and profile.settings.strict_totals:
            raise InvalidOrder([FieldError("/total", describe_expected_total(order, request.totals))])
        result = self._queue.add(
            NewMail(
                shop=shop,
                order_id=order.order_id,
                message_id=message_id(profile, order.order_id, 0),
                recipient=order.customer.email,
                request=request.fields,
                defaults=request.defaults,
                fingerprint=request.fingerprint,
                send_before=order.send_before,
                idempotency_key=idempotency_key,
                request_id=request_id.get(),
            )
        )
        if result.is_new:
            self._wake()
            counters.add(ORDERS)
            # At debug level unless there is something to report: each line costs time, and the outbox has it all.
            held = result.entry.reason
            level = logging.WARNING if warnings or held else logging.DEBUG
            extra = {"order_id": order.order_id, "shop": shop, "warning": " ".join(warnings) or None, "held": held}
            log.log(level, "order accepted", extra=extra)
        else:
            _expect_same(result, request.fields)
        return PlaceResult(result.entry, result.is_new, warnings)

    def preview(self, shop: str, body: Mapping[str, Any]) -> Preview:
        """Render the mail of a shop's validated order. Nothing is stored or sent. Raises TemplateError."""
        request = OrderRequest.of(self._shops[shop], body)
        return Preview(self._renderers[shop].render(request.order), request.warnings)

    def draft(self, body: Mapping[str, Any]) -> ClaimedMail:
        """Return a validated order as if it had just been claimed, for a test send that bypasses the outbox."""
        profile = self._shops[DEFAULT_SHOP]
        request = OrderRequest.of(profile, body)
        order = request.order
        now = datetime.now(UTC)
        return ClaimedMail(
            id=0,
            shop=DEFAULT_SHOP,
            order_id=order.order_id,
            message_id=message_id(profile, order.order_id, 0),
            payload=encode_payload(request.fields, request.defaults),
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
        """Return the order's newest mail and its history; None for an unknown order."""
        return self._admin.find(shop, order_id)

    def stored_order(self, shop: str, order_id: str) -> Order | None:
        """Return the order of its newest mail; None if it is unknown or its content is deleted.

        Raises UnreadableOrder.
        """
        return self._admin.stored_order(shop, order_id)

    def render(self, shop: str, order: Order) -> Email:
        """Return the mail of a shop's order as it would be sent now. Raises TemplateError."""
        return self._renderers[shop].render(order)

    def outcome(self, shop: str, order_id: str, seconds: float) -> OutboxEntry | None:
        """Return what `status` returns, once the mail is no longer queued or being sent, or after `seconds`."""
        end = time.monotonic() + seconds
        while True:
            entry = self._admin.find(shop, order_id)
            if entry is None or entry.state not in State.UNDER_WAY:
                return entry
            # When the service stops, mails in flight are finished, but queued ones are not begun.
            if time.monotonic() >= end or (self._is_stopping() and entry.state is State.QUEUED):
                return entry
            time.sleep(POLL_INTERVAL)

    def search(
        self, shop: str | None, search: Search, cursor: str | None, limit: int
    ) -> tuple[list[OutboxEntry], str | None]:
        """Return a page of one shop's mails, or of all shops', newest first, and the cursor of the next page.

        The mails are without their history. Raises ValueError for a malformed cursor.
        """
        return self._search.page(shop, search, cursor, limit)

    def why_waiting(self, entries: Collection[OutboxEntry]) -> dict[int, str]:
        """Return why mails are not being sent yet, by their ids, of those that are queued or will be sent again."""
        return explain_waits(self._database, entries, self._shops.account_of)

    def overview(self, shop: str | None = None) -> Overview:
        """Return the numbers of one shop's mails, or of all, and the state of the processes that send."""
        senders, pauses = read_senders(self._database)
        if shop is not None:
            pauses = tuple(pause for pause in pauses if pause.account == self._shops.account_of(shop))
        stats = read_stats(self._database, shop)
        return Overview(stats, senders, pauses, read_sent_per_minute(self._database, shop))

    def shops(self, order_id: str | None = None) -> list[str]:
        """Return the shops that placed an order, or one with this id."""
        return self._search.shops(order_id)

    def resend(self, resend: Resend) -> PlaceResult | None:
        """Queue a new mail for a known order, with a new Message-ID; None for an unknown order.

        Raises WrongState while its last mail is queued or being sent, ContentDeleted when the order has no content,
        KeyConflict when another request used its key.
        """
        profile = self._shops[resend.shop]
        result = self._admin.resend(resend, lambda revision: message_id(profile, resend.order_id, revision))
        if result is None:
            return None
        entry, is_new = result
        if is_new:
            self._wake()
            log.info("order sent again", extra={"order_id": resend.order_id, "shop": resend.shop})
        return PlaceResult(entry, is_new, ())

    def retry(self, shop: str, order_id: str) -> bool:
        """Make an order's failed, held, expired or unknown mail due now. Returns False when it cannot be retried."""
        return self._admin.requeue(shop, order_id) > 0

    def retry_all(self, shop: str | None, states: Collection[State]) -> Iterator[int]:
        """Make the mails in `states` of one shop, or of all, due now. Yields the number of each batch."""
        cursor: str | None = ""
        while cursor is not None:
            count, cursor = self.retry_batch(shop, states, cursor)
            yield count

    def retry_batch(self, shop: str | None, states: Collection[State], cursor: str) -> tuple[int, str | None]:
        """Do the same for one batch. Returns how many, and the `cursor` of the next; None after the last.

        The first one's `cursor` is empty.
        """
        return self._admin.requeue_batch([shop] if shop else self.shops(), states, cursor)

    def change(self, shop: str, body: Mapping[str, Any], what: str) -> bool:
        """Store the new content of a known order, for a resend. `what` says what has changed. No mail is sent.

        Returns False while its mail is queued or being sent, and when its content is deleted.
        """
        request = OrderRequest.of(self._shops[shop], body)
        return self._admin.replace_content(shop, request.order.order_id, request.fields, request.defaults, what)

    def cancel(self, shop: str, order_id: str) -> OutboxEntry | None:
        """Cancel a mail that has not been sent and return it; None for an unknown order.

        Raises WrongState when it is too late. An erased or already cancelled order is returned unchanged.
        """
        is_cancelled = self._admin.cancel(shop, order_id)
        try:
            entry = self._admin.find(shop, order_id)
        except OutboxUnavailable as exc:
            raise UnconfirmedWrite(str(exc)) from exc
        if entry and not is_cancelled and not entry.is_erased and entry.state is not State.CANCELLED:
            raise WrongState(f"the order's mail is in the state {entry.state}")
        return entry

    def erase(self, shop: str, order_id: str) -> bool:
        """Delete an order's personal data; its id stays known. Returns False for an unknown order.

        Raises WrongState while one of its mails is being sent.
        """
        return self._retention.erase(shop, order_id)

    def purge(self, age: float) -> Iterator[int]:
        """Delete the content of all orders that ended more than `age` seconds ago. Yields the number of each batch."""
        count = MAX_BATCH
        while count == MAX_BATCH:
            yield (count := self._retention.purge(age))

    def record_events(self, events: Collection[RelayEvent]) -> int:
        """Store what the relay reports about sent mails, each event once. Returns how many are new."""
        return self._delivery_events.record(events)


def _expect_same(result: AddResult, request: dict[str, Any]) -> None:
    if result.fingerprint == fingerprint(request):
        return
    stored = decode_payload(result.payload)[0] if result.payload else None
    raise OrderConflict(result.entry.order_id, differences(stored, request) if stored else [])
