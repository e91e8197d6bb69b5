"""Addresses that take no mail: one bounced for good, or its reader complained. What is for it waits for a person."""

from __future__ import annotations

from sqlalchemy import Connection, and_, bindparam, null, update

from orderconfirm.models import Event, RelayEvent, State
from orderconfirm.outbox import statements as sql
from orderconfirm.outbox.rows import address_hash, new_event
from orderconfirm.outbox.tables import outbox, suppressions

_RELEASE = (
    update(suppressions)
    .where(
        suppressions.c.shop == bindparam("whose"),
        suppressions.c.address_hash == bindparam("released"),
        suppressions.c.released_at.is_(None),
    )
    .values(released_at=sql.now)
)
_LIVING = "mail to this address was released since: retry sends it"
_to_address = and_(outbox.c.shop == bindparam("whose"), outbox.c.recipient == bindparam("address"))
#: An address died: what waits for it waits for a person.
_HOLD = (
    update(outbox)
    .where(_to_address, sql.state_of_few.in_((State.QUEUED, State.UNKNOWN, State.FAILED, State.HELD)))
    .values(state=State.HELD, reason=sql.SUPPRESSED, changed_at=sql.now)
    .returning(outbox.c.id)
)
#: The same for one mail that was on its way when its address died.
_HOLD_ONE = (
    update(outbox)
    .where(outbox.c.id == bindparam("mail"), sql.is_suppressed)
    .values(state=State.HELD, reason=sql.SUPPRESSED, changed_at=sql.now)
    .returning(outbox.c.id)
)
#: It takes mail again: those that are held for it may be put back.
_UNBIND = (
    update(outbox)
    .where(_to_address, sql.state_of_few == State.HELD, outbox.c.reason == sql.SUPPRESSED)
    .values(reason=_LIVING)
)


class SuppressionList:
    """Asked inside a transaction."""

    def __init__(self, dialect: str) -> None:
        # No row comes back when the address is dead already, or was released after the event.
        self._add = (
            sql.insert_into(suppressions, dialect)
            .values(
                shop=bindparam("shop"),
                address_hash=bindparam("address_hash"),
                since=sql.now,
                event=bindparam("event"),
            )
            .on_conflict_do_update(
                index_elements=["shop", "address_hash"],
                set_={"since": sql.now, "event": bindparam("event"), "released_at": null()},
                where=suppressions.c.released_at < bindparam("event_at"),
            )
            .returning(suppressions.c.since)
        )

    def suppress(self, connection: Connection, shop: str, address: str, told: RelayEvent) -> bool:
        """Hold what waits for an address, and what will come. False: it is dead already, or was released since."""
        values = {
            "shop": shop,
            "address_hash": address_hash(address),
            "event": told.event,
            "event_at": told.at.timestamp(),
        }
        if connection.execute(self._add, values).first() is None:
            return False
        for row in connection.execute(_HOLD, {"whose": shop, "address": address}).all():
            connection.execute(sql.ADD_HISTORY, _held(row.id))
        return True


def release(connection: Connection, shop: str, address: str) -> None:
    """Mail to this address again; what is held for it may be put back."""
    if connection.execute(_RELEASE, {"whose": shop, "released": address_hash(address)}).rowcount:
        connection.execute(_UNBIND, {"whose": shop, "address": address.lower()})


def hold_if_suppressed(connection: Connection, mail_id: int) -> None:
    """A mail that was on its way when its address died must not go there another time."""
    if connection.execute(_HOLD_ONE, {"mail": mail_id}).first() is not None:
        connection.execute(sql.ADD_HISTORY, _held(mail_id))


def _held(mail_id: int) -> dict[str, object]:
    return new_event(mail_id, Event.HELD, State.HELD, sql.SUPPRESSED)
