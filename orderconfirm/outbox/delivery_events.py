"""What became of sent mails: the relay's events, each kept once."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, null, or_, select, update

from orderconfirm.models import Delivery, RelayEvent
from orderconfirm.outbox import statements as sql
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.suppressions import SuppressionList
from orderconfirm.outbox.tables import deliveries, history, outbox

log = logging.getLogger(__name__)

#: What each of Mailtrap's events says of the delivery; others are part of the story alone.
DELIVERY_OF = {
    "delivery": Delivery.DELIVERED,
    "soft bounce": Delivery.SOFT_BOUNCED,
    "bounce": Delivery.BOUNCED,
    "spam": Delivery.COMPLAINED,
    "reject": Delivery.REJECTED,
    "suspension": Delivery.SUSPENDED,
}
#: After these, mail to the address only harms the sender's name.
_DEADLY = (Delivery.BOUNCED, Delivery.COMPLAINED)

#: Each process takes its locks in the same order, or two of them would wait for each other.
_LOCK = (
    select(outbox).where(outbox.c.id.in_(bindparam("mails", expanding=True))).order_by(outbox.c.id).with_for_update()
)
_BY_NUMBER = select(outbox).where(outbox.c.id == bindparam("mail"))

DELIVERIES = (
    select(deliveries).where(deliveries.c.mail_id == bindparam("mail_id")).order_by(deliveries.c.at, deliveries.c.id)
)

SET_DELIVERY = (
    update(outbox)
    .where(
        outbox.c.id == bindparam("mail"),
        or_(
            outbox.c.delivery_at.is_(None),
            # A reader who complained does so after the delivery, whatever the order and the times they are told with.
            bindparam("to_delivery") == Delivery.COMPLAINED,
            and_(outbox.c.delivery_at <= bindparam("event_at"), outbox.c.delivery != Delivery.COMPLAINED),
        ),
    )
    .values(delivery=bindparam("to_delivery"), delivery_at=bindparam("event_at"))
)


def _add_event(dialect: str) -> Any:
    """Keep an event, once: no row comes back when it came before."""
    return (
        sql.insert_into(deliveries, dialect)
        .values(
            {name: bindparam(name) for name in ("event_id", "mail_id", "at", "event", "code", "text", "raw")}
            | {"received_at": sql.now}
        )
        .on_conflict_do_nothing(index_elements=["event_id"])
        .returning(deliveries.c.id)
    )


PURGE_EVENTS = update(deliveries).where(deliveries.c.mail_id == bindparam("mail")).values(raw=null(), text=null())
#: What named no mail of ours is kept as long as the content of mails is.
PURGE_STRAY_EVENTS = (
    update(deliveries)
    .where(
        deliveries.c.mail_id.is_(None),
        deliveries.c.raw.is_not(None),
        deliveries.c.received_at < sql.now - bindparam("age"),
    )
    .values(raw=null(), text=null())
)
PURGE_WORDS = update(history).where(history.c.mail_id == bindparam("mail")).values(text=null())


class DeliveryEventStore:
    """Every method raises OutboxUnavailable when the database does not do its part."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._add_event = _add_event(database.dialect)
        self._addresses = SuppressionList(database.dialect)

    def record(self, events: Collection[RelayEvent]) -> int:
        """Keep events, all or none; returns how many are new. What names no mail of ours is kept without one."""

        def job(connection: Connection) -> tuple[int, list[Row[Any]]]:
            numbers = {event.event_id: _mail_of(connection, event) for event in events}
            mails = {mail.id: mail for mail in connection.execute(_LOCK, {"mails": [*filter(None, numbers.values())]})}
            mail_of = {event_id: mails.get(number) for event_id, number in numbers.items()}
            # Keys are locks too: in one order for all processes. What the events mean is told in theirs.
            sorted_events = sorted(events, key=lambda event: event.event_id)
            new = {event.event_id for event in sorted_events if self._keep(connection, event, mail_of[event.event_id])}
            told = [(event, mail_of[event.event_id]) for event in events if event.event_id in new]
            return len(new), [mail for event, mail in told if mail and self._apply(connection, event, mail)]

        new, dead = self._database.write(job)
        for mail in dead:
            words = {"order_id": mail.order_id, "shop": mail.shop}
            log.warning("an address takes no more mail: what is for it is held", extra=words)
        return new

    def _keep(self, connection: Connection, told: RelayEvent, mail: Row[Any] | None) -> bool:
        """Whether the event is new."""
        is_erased = mail is not None and mail.erased_at is not None
        values = {
            "event_id": told.event_id,
            "mail_id": mail.id if mail else None,
            "at": told.at.timestamp(),
            "event": told.event,
            "code": told.code,
            "text": None if is_erased else told.text,
            "raw": None if is_erased else told.raw,
        }
        return connection.execute(self._add_event, values).first() is not None

    def _apply(self, connection: Connection, told: RelayEvent, mail: Row[Any]) -> bool:
        """What the event says of its mail. Whether the mail's address takes no more from now on."""
        state = DELIVERY_OF.get(told.event)
        if state:
            change = {"mail": mail.id, "to_delivery": state, "event_at": told.at.timestamp()}
            connection.execute(SET_DELIVERY, change)
        address = (told.address or mail.recipient or "").strip().lower()
        return state in _DEADLY and bool(address) and self._addresses.suppress(connection, mail.shop, address, told)


def _mail_of(connection: Connection, told: RelayEvent) -> int | None:
    """The number of the mail that an event names, else of the newest of its order."""
    if told.mail_id is not None:
        row = connection.execute(_BY_NUMBER, {"mail": told.mail_id}).first()
        names = ((told.shop, row.shop), (told.order_id, row.order_id), (told.message_id, row.message_id)) if row else ()
        # A number alone may be that of another mail, in an outbox that was begun anew.
        if row is not None and all(name in (None, own) for name, own in names):
            return told.mail_id
    if told.shop is None or told.order_id is None:
        return None
    rows = connection.execute(sql.REVISIONS, {"shop": told.shop, "order_id": told.order_id}).all()
    numbers = [row.id for row in rows if row.message_id == told.message_id] or [row.id for row in rows[-1:]]
    return numbers[0] if numbers else None


def events_of(connection: Connection, mail_ids: Iterable[int]) -> list[Any]:
    """The rows of what was told of some mails, in the order in which it happened."""
    rows = [row for mail_id in mail_ids for row in connection.execute(DELIVERIES, {"mail_id": mail_id})]
    return sorted(rows, key=lambda row: (row.at, row.id))


def purge_words(connection: Connection, mail_id: int) -> None:
    """Delete what a mail's story may say of a person, in the relay's words or in ours; that it happened stays."""
    connection.execute(PURGE_EVENTS, {"mail": mail_id})
    connection.execute(PURGE_WORDS, {"mail": mail_id})


def purge_stray_events(connection: Connection, age: float) -> None:
    """Delete what events that named no mail may say of a person, once they are `age` seconds old."""
    connection.execute(PURGE_STRAY_EVENTS, {"age": age})
