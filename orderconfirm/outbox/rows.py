"""Conversion between database rows and values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Row

from orderconfirm.logs import mask_addresses, printable
from orderconfirm.models import (
    ClaimedMail,
    Delivery,
    DeliveryEvent,
    HistoryEntry,
    MerchantCopy,
    NewMail,
    OutboxEntry,
    State,
)
from orderconfirm.order.serialization import decode_payload, encode_payload

#: Maximum number of characters stored of a relay's reply.
MAX_TEXT_LENGTH = 1000


def stored_text(text: str | None) -> str | None:
    """Return a relay's reply without addresses and unprintable characters, cut to MAX_TEXT_LENGTH."""
    return mask_addresses(printable(text))[:MAX_TEXT_LENGTH] if text else text


def to_entry(
    row: Row[Any],
    history: Iterable[HistoryEntry] = (),
    deliveries: Iterable[DeliveryEvent] = (),
    earlier: Iterable[OutboxEntry] = (),
    merchant_copy: MerchantCopy | None = None,
) -> OutboxEntry:
    """Return a mail. A damaged time does not raise an exception."""
    return OutboxEntry(
        id=row.id,
        shop=row.shop,
        order_id=row.order_id,
        revision=row.revision,
        message_id=row.message_id,
        recipient=row.recipient,
        state=State(row.state),
        accepted_at=_lenient_time(row.accepted_at),
        changed_at=_lenient_time(row.changed_at),
        due_at=_lenient_time(row.due_at),
        attempts=row.attempts,
        possible_copies=row.possible_copies,
        reason=row.reason,
        request_id=row.request_id,
        delivery=Delivery(row.delivery) if row.delivery else None,
        is_erased=row.erased_at is not None,
        history=tuple(history),
        deliveries=tuple(deliveries),
        earlier=tuple(earlier),
        merchant_copy=merchant_copy,
    )


def to_copy(row: Row[Any], history: Iterable[HistoryEntry], deliveries: Iterable[DeliveryEvent]) -> MerchantCopy:
    """Return the merchant's copy of an order's first mail."""
    return MerchantCopy(
        recipient=row.recipient,
        message_id=row.message_id,
        state=State(row.state),
        changed_at=_lenient_time(row.changed_at),
        due_at=_lenient_time(row.due_at),
        attempts=row.attempts,
        possible_copies=row.possible_copies,
        reason=row.reason,
        delivery=Delivery(row.delivery) if row.delivery else None,
        history=tuple(history),
        deliveries=tuple(deliveries),
    )


def new_entry(values: Mapping[str, Any], row: Any) -> OutboxEntry:
    """Return a mail that was just added, from its column values and the `row` that the INSERT returned."""
    accepted_at = _time(row.accepted_at)
    return OutboxEntry(
        id=row.id,
        shop=values["shop"],
        order_id=values["order_id"],
        revision=values["revision"],
        message_id=values["message_id"],
        recipient=values["recipient"],
        state=State(row.state),
        accepted_at=accepted_at,
        changed_at=accepted_at,
        due_at=accepted_at,
        attempts=0,
        possible_copies=0,
        reason=row.reason,
        request_id=values["request_id"],
    )


def to_history(row: Row[Any], revision: int) -> HistoryEntry:
    return HistoryEntry(
        _lenient_time(row.at), revision, row.event, State(row.state), row.stage, row.code, row.text, row.seconds
    )


def to_delivery(row: Row[Any], revision: int) -> DeliveryEvent:
    return DeliveryEvent(row.event_id, revision, row.event, _lenient_time(row.at), row.code, row.text)


def new_values(mail: NewMail) -> dict[str, Any]:
    """Return the column values of a new mail."""
    return {
        "shop": mail.shop,
        "order_id": mail.order_id,
        "revision": 0,
        "fingerprint": mail.fingerprint,
        "message_id": mail.message_id,
        "recipient": mail.recipient.lower(),
        "address_hash": address_hash(mail.recipient),
        "payload": encode_payload(mail.request, mail.defaults),
        "send_before": mail.send_before.timestamp() if mail.send_before else None,
        "request_id": mail.request_id,
    }


def resend_values(
    row: Row[Any], email: str | None, revision: int, message_id: str, request_id: str | None
) -> dict[str, Any]:
    """Return the column values of a resend of `row`'s order, to `email` or to the order's own address."""
    request, defaults = decode_payload(row.payload)
    if email:
        request = {**request, "customer": {**request["customer"], "email": email}}
    mail = NewMail(
        shop=row.shop,
        order_id=row.order_id,
        message_id=message_id,
        recipient=request["customer"]["email"],
        request=request,
        defaults=defaults,
        fingerprint=row.fingerprint,
        request_id=request_id,
    )
    return {**new_values(mail), "revision": revision}


def address_hash(address: str) -> str:
    """Return the hash by which addresses are compared and suppressed."""
    return sha256(address.strip().lower().encode()).hexdigest()


def to_claimed(row: Any, is_copy: bool = False) -> ClaimedMail:
    """Return a claimed mail or copy. Raises TypeError, ValueError, OverflowError or OSError for a damaged row."""
    return ClaimedMail(
        id=row.id,
        shop=row.shop,
        order_id=row.order_id,
        message_id=row.message_id,
        payload=row.payload,
        accepted_at=_time(row.accepted_at),
        tried_at=_time(row.tried_at) if row.tried_at else None,
        claimed_at=_time(row.changed_at),
        send_before=_time(row.send_before) if row.send_before else None,
        attempts=row.attempts,
        possible_copies=row.possible_copies,
        lease_token=row.lease_token,
        recipient=row.recipient,
        request_id=row.request_id,
        is_copy=is_copy,
    )


def _lenient_time(seconds: float) -> datetime:
    """Return the time, or 1970 for a damaged value, so that the rest of the row can be read."""
    try:
        return _time(seconds)
    except (TypeError, ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
