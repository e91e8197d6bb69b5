"""Delivery events: what the relay reports about sent mails. Each event is stored once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, or_, select, update

from orderconfirm.metrics import counters
from orderconfirm.metrics.table import DELIVERY_EVENTS, SUPPRESSIONS
from orderconfirm.models import Delivery, RelayEvent
from orderconfirm.outbox import merchant_copies
from orderconfirm.outbox.callback_events import CallbackEvents, MailEvent, no_callbacks
from orderconfirm.outbox.causes import Cause
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.sql import REVISIONS, insert_into, now
from orderconfirm.outbox.suppressions import SuppressionList
from orderconfirm.outbox.tables import delivery_events, outbox

log = logging.getLogger(__name__)

#: Deliveries that suppress the address: further mail would harm the sender's reputation.
_SUPPRESSES = (Delivery.BOUNCED, Delivery.COMPLAINED)
#: The cause to report for each delivery that means the mail did not arrive.
_CAUSES = {Delivery.BOUNCED: Cause.REFUSED, Delivery.REJECTED: Cause.SUPPRESSED}

#: Locks mails in the order of their ids, so that two processes with the same mails do not deadlock.
_LOCK = (
    select(outbox).where(outbox.c.id.in_(bindparam("mails", expanding=True))).order_by(outbox.c.id).with_for_update()
)
_BY_ID = select(outbox).where(outbox.c.id == bindparam("mail"))
_OF_MAIL = select(delivery_events).where(delivery_events.c.mail_id == bindparam("mail_id"))
_SET_DELIVERY = (
    update(outbox)
    .where(
        outbox.c.id == bindparam("mail"),
        or_(
            outbox.c.delivery_at.is_(None),
            # A complaint always follows a delivery, even if the events arrive in another order or with wrong times.
            bindparam("to_delivery") == Delivery.COMPLAINED,
            and_(outbox.c.delivery_at <= bindparam("event_at"), outbox.c.delivery != Delivery.COMPLAINED),
        ),
    )
    .values(delivery=bindparam("to_delivery"), delivery_at=bindparam("event_at"))
)
_DELETE = delete(delivery_events).where(delivery_events.c.mail_id.in_(bindparam("mails", expanding=True)))
#: Maximum events deleted in one transaction, because new orders wait for it.
MAX_UNMATCHED = 5_000
_DELETE_UNMATCHED = delete(delivery_events).where(
    delivery_events.c.id.in_(
        select(delivery_events.c.id)
        .where(delivery_events.c.mail_id.is_(None), delivery_events.c.received_at < now - bindparam("age"))
        .limit(bindparam("limit"))
    )
)


def _add_statement(dialect: str) -> Any:
    """Return the INSERT of an event. It returns no row when the event is stored already."""
    columns = ("event_id", "mail_id", "at", "event", "code", "text", "raw", "is_copy")
    return (
        insert_into(delivery_events, dialect)
        .values({name: bindparam(name) for name in columns} | {"received_at": now})
        .on_conflict_do_nothing(index_elements=["event_id"])
        .returning(delivery_events.c.id)
    )


class DeliveryEventStore:
    """Storage of the relay's events, and their effects on mails and addresses."""

    def __init__(self, database: Database, has_callback: Callable[[str], bool] = no_callbacks) -> None:
        """`has_callback` is whether a shop's events are posted to it."""
        self._database = database
        self._add = _add_statement(database.dialect)
        self._callback_events = CallbackEvents(database, has_callback)
        self._suppressions = SuppressionList(database.dialect, self._callback_events)

    def record(self, events: Collection[RelayEvent]) -> int:
        """Store events, all or none. Returns how many are new.

        An event is stored without a mail if it belongs to none, or to one whose content is deleted. Raises
        OutboxUnavailable.
        """

        def job(connection: Connection) -> list[tuple[RelayEvent, Row[Any] | None, bool]]:
            ids = {event.event_id: _find_mail(connection, event) for event in events}
            mails = {mail.id: mail for mail in connection.execute(_LOCK, {"mails": [*filter(None, ids.values())]})}
            mail_of = {event_id: mails.get(mail_id) for event_id, mail_id in ids.items()}
            # Inserts lock the unique key, so all processes insert in the same order. Effects keep the given order.
            by_key = sorted(events, key=lambda event: event.event_id)
            new = {event.event_id for event in by_key if self._insert(connection, event, mail_of[event.event_id])}
            added = {event.event_id: event for event in events if event.event_id in new}
            pairs = [(event, mail_of[event_id]) for event_id, event in added.items()]
            return [(event, mail, mail is not None and self._apply(connection, event, mail)) for event, mail in pairs]

        added = self._database.write(job)
        for event, mail, is_suppressing in added:
            if event.copy_of is None:
                counters.add(DELIVERY_EVENTS, (event.delivery or "other",))
            counters.add(SUPPRESSIONS, amount=is_suppressing)
            if mail:
                _log(event, mail, is_suppressing)
        return len(added)

    def _insert(self, connection: Connection, event: RelayEvent, mail: Row[Any] | None) -> bool:
        """Insert an event. Returns False if it is stored already.

        The event of a mail whose content is deleted is kept without the mail and without words, so that a repetition
        is recognised for the retention time.
        """
        is_deleted = mail is not None and mail.payload is None
        values = {
            "event_id": event.event_id,
            "mail_id": mail.id if mail and not is_deleted else None,
            "at": event.at.timestamp(),
            "event": event.event,
            "code": event.code,
            "text": None if is_deleted else event.text,
            "raw": None if is_deleted else event.raw,
            "is_copy": event.copy_of is not None,
        }
        return connection.execute(self._add, values).first() is not None

    def _apply(self, connection: Connection, event: RelayEvent, mail: Row[Any]) -> bool:
        """Update the delivery of the mail, or of its copy. Returns whether its address is suppressed from now on."""
        if event.copy_of is not None:
            if event.delivery:
                merchant_copies.set_delivery(connection, mail.id, event.delivery, event.at.timestamp())
            return False
        if event.delivery:
            change = {"mail": mail.id, "to_delivery": event.delivery, "event_at": event.at.timestamp()}
            connection.execute(_SET_DELIVERY, change)
            if mail.payload is not None:
                self._callback_events.add(connection, [_mail_event(event, event.delivery, mail)])
        address = (event.address or mail.recipient or "").strip().lower()
        if event.delivery not in _SUPPRESSES or not address:
            return False
        return self._suppressions.suppress(connection, mail, address, event)


def _mail_event(event: RelayEvent, delivery: Delivery, mail: Row[Any]) -> MailEvent:
    at = event.at.timestamp()
    return MailEvent(mail.id, mail.shop, delivery, _CAUSES.get(delivery), event.code, delivery, at)


def _log(event: RelayEvent, mail: Row[Any], is_suppressing: bool) -> None:
    ids = {"request_id": mail.request_id, "order_id": mail.order_id, "shop": mail.shop}
    what = "delivery reported" if event.copy_of is None else "delivery of a merchant copy reported"
    log.info(what, extra={**ids, "delivery": event.delivery or event.event, "code": event.code})
    if is_suppressing:
        log.warning("an address is suppressed: its mails are held", extra=ids)


def _find_mail(connection: Connection, event: RelayEvent) -> int | None:
    """Return the id of the mail that an event, or its copy, names, else of its order's newest mail."""
    if event.copy_of is not None:
        copy = merchant_copies.find(connection, event.copy_of)
        return event.copy_of if copy is not None and event.message_id in (None, copy.message_id) else None
    if event.mail_id is not None:
        row = connection.execute(_BY_ID, {"mail": event.mail_id}).first()
        # After a restart with an empty outbox, another mail may have the same id.
        if row and all(
            getattr(event, name) in (None, getattr(row, name)) for name in ("shop", "order_id", "message_id")
        ):
            return event.mail_id
    if event.shop is None or event.order_id is None:
        return None
    rows = connection.execute(REVISIONS, {"shop": event.shop, "order_id": event.order_id}).all()
    ids = [row.id for row in rows if row.message_id == event.message_id] or [row.id for row in rows[-1:]]
    return ids[0] if ids else None


def read(connection: Connection, mail_ids: Iterable[int]) -> list[Row[Any]]:
    """Return the events of several mails and their copies, in the order in which they happened."""
    rows = [row for mail_id in mail_ids for row in connection.execute(_OF_MAIL, {"mail_id": mail_id})]
    return sorted(rows, key=lambda row: (row.at, row.id))


def delete_of(connection: Connection, mail_ids: Collection[int]) -> None:
    """Delete the events of several mails."""
    connection.execute(_DELETE, {"mails": mail_ids}).close()


def delete_unmatched(connection: Connection, age: float) -> None:
    """Delete events without a mail that were received more than `age` seconds ago, MAX_UNMATCHED at most."""
    connection.execute(_DELETE_UNMATCHED, {"age": age, "limit": MAX_UNMATCHED}).close()
