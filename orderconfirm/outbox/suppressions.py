"""The suppression list: addresses that bounced permanently or reported spam. Mail to them is held."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, null, select, tuple_, update

from orderconfirm.models import Event, RelayEvent, State
from orderconfirm.outbox import history
from orderconfirm.outbox.callback_events import CallbackEvents, MailEvent
from orderconfirm.outbox.causes import Cause
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.rows import address_hash
from orderconfirm.outbox.sql import SUPPRESSED, insert_into, is_suppressed, now, state_of_few
from orderconfirm.outbox.tables import outbox, suppressions
from orderconfirm.queries import Suppression

_HASH = re.compile("[0-9a-f]{64}")
_RELEASED = "this address has been released: retry sends the mail"

_RELEASE = (
    update(suppressions)
    .where(
        suppressions.c.shop == bindparam("of_shop"),
        suppressions.c.address_hash == bindparam("released"),
        suppressions.c.released_at.is_(None),
    )
    .values(released_at=now)
)
_to_address = and_(outbox.c.shop == bindparam("of_shop"), outbox.c.recipient == bindparam("address"))
_hold = update(outbox).values(state=State.HELD, reason=SUPPRESSED, changed_at=now).returning(outbox.c.id)
_HOLD_ALL = _hold.where(_to_address, state_of_few.in_(State.HOLDABLE | {State.HELD}))
_HOLD_ONE = _hold.where(outbox.c.id == bindparam("mail"), is_suppressed)
_SET_RELEASED_REASON = (
    update(outbox)
    .where(
        outbox.c.shop == bindparam("of_shop"),
        outbox.c.state == State.HELD,
        outbox.c.address_hash == bindparam("released"),
        outbox.c.reason == SUPPRESSED,
    )
    .values(reason=_RELEASED)
    .returning(outbox.c.order_id)
)
_newest_first = (suppressions.c.since, suppressions.c.address_hash, suppressions.c.shop)
_READ = (
    select(suppressions, outbox.c.order_id, outbox.c.recipient)
    .outerjoin(outbox, outbox.c.id == suppressions.c.mail_id)
    .where(suppressions.c.released_at.is_(None))
    .order_by(*(column.desc() for column in _newest_first))
)


def _add_statement(dialect: str) -> Any:
    """Return the INSERT of an address.

    It returns no row when the address is suppressed already, or was released after the event.
    """
    reported: dict[str, Any] = {"since": now, "event": bindparam("event"), "mail_id": bindparam("mail")}
    return (
        insert_into(suppressions, dialect)
        .values(shop=bindparam("shop"), address_hash=bindparam("address_hash"), **reported)
        .on_conflict_do_update(
            index_elements=["shop", "address_hash"],
            set_={**reported, "released_at": null()},
            where=suppressions.c.released_at < bindparam("event_at"),
        )
        .returning(suppressions.c.since)
    )


class SuppressionList:
    """The suppressed addresses of each shop, as hashes. `suppress` runs in the caller's transaction."""

    def __init__(self, dialect: str, callback_events: CallbackEvents) -> None:
        self._add = _add_statement(dialect)
        self._callback_events = callback_events

    def suppress(self, connection: Connection, mail: Row[Any], address: str, event: RelayEvent) -> bool:
        """Hold the waiting mails to an address and all later ones, because of what `event` reports about `mail`.

        Returns False when it is suppressed already, or was released after `event` happened.
        """
        values = {
            "shop": mail.shop,
            "mail": mail.id,
            "address_hash": address_hash(address),
            "event": event.event,
            "event_at": event.at.timestamp(),
        }
        if connection.execute(self._add, values).first() is None:
            return False
        held = connection.execute(_HOLD_ALL, {"of_shop": mail.shop, "address": address}).all()
        history.record(connection, [row.id for row in held], Event.HELD, State.HELD, SUPPRESSED)
        held_events = (MailEvent(row.id, mail.shop, Event.HELD, Cause.SUPPRESSED) for row in held)
        self._callback_events.add(connection, held_events)
        return True


def release(connection: Connection, shop: str, hashed: str) -> list[str] | None:
    """Remove an address, given as its hash, from the list. Returns None if it is not there.

    Otherwise returns the orders whose mails to it are held. They stay held, with a reason that says how to send them.
    """
    values = {"of_shop": shop, "released": hashed}
    if not connection.execute(_RELEASE, values).rowcount:
        return None
    return sorted(set(connection.execute(_SET_RELEASED_REASON, values).scalars()))


class SuppressedAddresses:
    """Reads and changes the suppression list on request. Methods raise OutboxUnavailable when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, shop: str | None, cursor: str | None, limit: int) -> tuple[list[Suppression], str | None]:
        """Return a page of the suppressed addresses of a shop, or of all, the last suppressed first.

        The second value is the cursor of the next page, None after the last. Raises ValueError for a malformed cursor.
        """
        statement = _READ.limit(limit + 1)
        if shop is not None:
            statement = statement.where(suppressions.c.shop == shop)
        if cursor:
            since, last_hash, last_shop = cursor.split("_", 2)
            statement = statement.where(tuple_(*_newest_first) < (float(since), last_hash, last_shop))
        with self._database.reading() as connection:
            rows = connection.execute(statement).all()
        last = rows[limit - 1] if len(rows) > limit else None
        next_cursor = f"{last.since!r}_{last.address_hash}_{last.shop}" if last else None
        return [_to_suppression(row) for row in rows[:limit]], next_cursor

    def release(self, shop: str, address: str) -> list[str] | None:
        """Release an address, given as itself or as its hash. Returns None if it is not suppressed.

        Otherwise returns the orders whose mails to it are held: a retry sends them.
        """
        hashed = address if _HASH.fullmatch(address) else address_hash(address)
        held: list[str] | None = self._database.write(lambda connection: release(connection, shop, hashed))
        return held


def _to_suppression(row: Row[Any]) -> Suppression:
    # The relay may have reported another address than the mail's.
    is_recipient = row.recipient is not None and address_hash(row.recipient) == row.address_hash
    return Suppression(
        shop=row.shop,
        address_hash=row.address_hash,
        address=row.recipient if is_recipient else None,
        since=datetime.fromtimestamp(row.since, UTC),
        event=row.event,
        order_id=row.order_id,
    )


def hold_if_suppressed(connection: Connection, mail_id: int) -> bool:
    """Hold a mail whose address was suppressed while it was being sent. Returns whether it was."""
    is_held = connection.execute(_HOLD_ONE, {"mail": mail_id}).first() is not None
    if is_held:
        history.record(connection, [mail_id], Event.HELD, State.HELD, SUPPRESSED)
    return is_held
