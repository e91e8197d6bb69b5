"""The suppression list: addresses that bounced permanently or reported spam. Mail to them is held."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, and_, bindparam, null, update

from orderconfirm.models import Event, RelayEvent, State
from orderconfirm.outbox import history
from orderconfirm.outbox.rows import address_hash
from orderconfirm.outbox.sql import SUPPRESSED, insert_into, is_suppressed, now, state_of_few
from orderconfirm.outbox.tables import outbox, suppressions

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
    .where(_to_address, state_of_few == State.HELD, outbox.c.reason == SUPPRESSED)
    .values(reason=_RELEASED)
)


def _add_statement(dialect: str) -> Any:
    """Return the INSERT of an address.

    It returns no row when the address is suppressed already, or was released after the event.
    """
    return (
        insert_into(suppressions, dialect)
        .values(shop=bindparam("shop"), address_hash=bindparam("address_hash"), since=now, event=bindparam("event"))
        .on_conflict_do_update(
            index_elements=["shop", "address_hash"],
            set_={"since": now, "event": bindparam("event"), "released_at": null()},
            where=suppressions.c.released_at < bindparam("event_at"),
        )
        .returning(suppressions.c.since)
    )


class SuppressionList:
    """The suppressed addresses of each shop, as hashes. `suppress` runs in the caller's transaction."""

    def __init__(self, dialect: str) -> None:
        self._add = _add_statement(dialect)

    def suppress(self, connection: Connection, shop: str, address: str, event: RelayEvent) -> bool:
        """Hold the address's waiting mails and all later ones.

        Returns False when it is suppressed already, or was released after `event` happened.
        """
        values = {
            "shop": shop,
            "address_hash": address_hash(address),
            "event": event.event,
            "event_at": event.at.timestamp(),
        }
        if connection.execute(self._add, values).first() is None:
            return False
        held = connection.execute(_HOLD_ALL, {"of_shop": shop, "address": address}).all()
        history.record(connection, [row.id for row in held], Event.HELD, State.HELD, SUPPRESSED)
        return True


def release(connection: Connection, shop: str, address: str) -> None:
    """Remove an address from the list. Its held mails stay held, with a reason that says how to send them."""
    if connection.execute(_RELEASE, {"of_shop": shop, "released": address_hash(address)}).rowcount:
        connection.execute(_SET_RELEASED_REASON, {"of_shop": shop, "address": address.lower()})


def hold_if_suppressed(connection: Connection, mail_id: int) -> None:
    """Hold a mail whose address was suppressed while it was being sent."""
    if connection.execute(_HOLD_ONE, {"mail": mail_id}).first() is not None:
        history.record(connection, [mail_id], Event.HELD, State.HELD, SUPPRESSED)
