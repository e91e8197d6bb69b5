"""A database row as the value it stands for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Row

from orderconfirm.models import ClaimedMail, Delivery, DeliveryEvent, Event, HistoryEntry, NewMail, OutboxEntry, State
from orderconfirm.order.serialization import encode


def to_entry(
    row: Row[Any],
    history: Iterable[HistoryEntry] = (),
    deliveries: Iterable[DeliveryEvent] = (),
    earlier: Iterable[OutboxEntry] = (),
) -> OutboxEntry:
    return OutboxEntry(
        id=row.id,
        shop=row.shop,
        order_id=row.order_id,
        revision=row.revision,
        message_id=row.message_id,
        recipient=row.recipient,
        state=State(row.state),
        accepted_at=_told(row.accepted_at),
        changed_at=_told(row.changed_at),
        due_at=_told(row.due_at),
        attempts=row.attempts,
        possible_copies=row.possible_copies,
        reason=row.reason,
        delivery=Delivery(row.delivery) if row.delivery else None,
        is_erased=row.erased_at is not None,
        history=tuple(history),
        deliveries=tuple(deliveries),
        earlier=tuple(earlier),
    )


def to_history(row: Row[Any], revision: int) -> HistoryEntry:
    return HistoryEntry(
        _told(row.at), revision, row.event, State(row.state), row.stage, row.code, row.text, row.seconds
    )


def to_delivery(row: Row[Any], revision: int) -> DeliveryEvent:
    return DeliveryEvent(row.event_id, revision, row.event, _told(row.at), row.code, row.text)


def new_values(mail: NewMail) -> dict[str, Any]:
    """A new mail as the values of its row."""
    return {
        "shop": mail.shop,
        "order_id": mail.order_id,
        "revision": 0,
        "fingerprint": mail.fingerprint,
        "message_id": mail.message_id,
        "recipient": mail.recipient.lower(),
        "address_hash": address_hash(mail.recipient),
        "payload": encode({"sent": mail.sent, "defaults": mail.defaults}),
        "send_before": mail.send_before.timestamp() if mail.send_before else None,
    }


def again_values(row: Row[Any], email: str | None, revision: int, message_id: str) -> dict[str, Any]:
    """The order of `row` as the values of a new row: it is sent again, to `email` or to its own address."""
    content = json.loads(row.payload)
    sent = content["sent"]
    if email:
        sent = {**sent, "customer": {**sent["customer"], "email": email}}
    again = NewMail(
        shop=row.shop,
        order_id=row.order_id,
        message_id=message_id,
        recipient=sent["customer"]["email"],
        sent=sent,
        defaults=content["defaults"],
        fingerprint=row.fingerprint,
    )
    return {**new_values(again), "revision": revision}


def new_event(
    mail_id: int,
    event: Event,
    state: State,
    text: str | None = None,
    stage: str | None = None,
    code: int | None = None,
    seconds: float | None = None,
) -> dict[str, Any]:
    """A thing that happened to a mail as the values of its history row."""
    return {
        "mail_id": mail_id,
        "event": event,
        "state": state,
        "text": text,
        "stage": stage,
        "code": code,
        "seconds": seconds,
    }


def address_hash(address: str) -> str:
    """An address as it is remembered: to be recognised, not to be read."""
    return sha256(address.strip().lower().encode()).hexdigest()


def to_claimed(row: Row[Any]) -> ClaimedMail:
    """Raises TypeError, ValueError, OverflowError or OSError for a row that is damaged."""
    return ClaimedMail(
        id=row.id,
        shop=row.shop,
        order_id=row.order_id,
        message_id=row.message_id,
        payload=row.payload,
        accepted_at=_moment(row.accepted_at),
        tried_at=_moment(row.tried_at) if row.tried_at else None,
        claimed_at=_moment(row.changed_at),
        send_before=_moment(row.send_before) if row.send_before else None,
        attempts=row.attempts,
        possible_copies=row.possible_copies,
        lease_token=row.lease_token,
        recipient=row.recipient,
    )


def _told(seconds: float) -> datetime:
    """For a person's eyes: a damaged time must not hide the rest of the row."""
    try:
        return _moment(seconds)
    except (TypeError, ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
