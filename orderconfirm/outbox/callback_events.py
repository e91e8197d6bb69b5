"""Callbacks to shops about mail events, each stored in the same transaction as the event."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Double, Integer, String, bindparam, delete, func, insert, literal, select

from orderconfirm.models import Delivery, Event
from orderconfirm.outbox.causes import Cause
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.sql import now
from orderconfirm.outbox.tables import callbacks, outbox
from orderconfirm.queries import CallbackState

#: The events and deliveries that are reported to the shop, and the callback name of each.
_NAMES: dict[Event | Delivery, str] = {
    Event.SENT: "sent",
    Event.FAILED: "failed",
    Event.HELD: "held",
    Event.EXPIRED: "expired",
    Delivery.DELIVERED: "delivered",
    Delivery.BOUNCED: "bounced",
    Delivery.REJECTED: "bounced",
    Delivery.COMPLAINED: "complained",
}
_ADD = insert(callbacks).from_select(
    ["webhook_id", "mail_id", "shop", "event", "at", "mail_state", "delivery", "cause", "code", "state", "due_at"],
    select(
        bindparam("webhook_id", type_=String(40)),
        outbox.c.id,
        outbox.c.shop,
        bindparam("name", type_=String(16)),
        func.coalesce(bindparam("event_at", type_=Double()), now),
        outbox.c.state,
        func.coalesce(bindparam("reported", type_=String(16)), outbox.c.delivery),
        bindparam("why", type_=String(16)),
        bindparam("reply_code", type_=Integer()),
        literal(CallbackState.WAITING.value),
        now,
    ).where(outbox.c.id == bindparam("mail")),
)
_DELETE = delete(callbacks).where(callbacks.c.mail_id.in_(bindparam("mails", expanding=True)))


@dataclass(frozen=True, slots=True)
class MailEvent:
    """Something that happened to a mail in this service or, with a `delivery`, later at `at` (seconds since 1970).

    `code` is the code of the SMTP reply.
    """

    mail_id: int
    shop: str
    event: Event | Delivery
    cause: Cause | None = None
    code: int | None = None
    delivery: Delivery | None = None
    at: float | None = None


class CallbackEvents:
    """Stores callbacks. For a shop without a callback it runs no statement."""

    def __init__(self, database: Database, has_callback: Callable[[str], bool]) -> None:
        """`has_callback` is whether a shop's events are posted to it."""
        self._has_callback = has_callback
        self._add = database.compiled(_ADD)

    def add(self, connection: Connection, events: Iterable[MailEvent]) -> None:
        """Store a callback for each event that is reported to its shop. It is due at once."""
        rows = [_values(each) for each in events if each.event in _NAMES and self._has_callback(each.shop)]
        if rows:
            self._add.execute_many(connection, rows)


def no_callbacks(shop: str) -> bool:
    """Return False, for an outbox without callbacks."""
    return False


def delete_of(connection: Connection, mail_ids: Collection[int]) -> None:
    """Delete the callbacks of several mails."""
    connection.execute(_DELETE, {"mails": mail_ids}).close()


def _values(event: MailEvent) -> dict[str, Any]:
    return {
        "mail": event.mail_id,
        "webhook_id": f"evt_{secrets.token_hex(16)}",
        "name": _NAMES[event.event],
        "event_at": event.at,
        "reported": event.delivery,
        "why": event.cause,
        "reply_code": event.code,
    }
