"""The merchants' copies of orders: added with an order, claimed after all due mails, deleted with its content."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, null, or_, select, update

from orderconfirm.models import Delivery, Event, State
from orderconfirm.outbox import history
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.fair_claims import ClaimRequest, FairClaims
from orderconfirm.outbox.sql import is_due_state, now
from orderconfirm.outbox.tables import merchant_copies, outbox

_copies = merchant_copies.c

INSERT = insert(merchant_copies).values(
    id=bindparam("id"),
    shop=bindparam("shop"),
    message_id=bindparam("message_id"),
    recipient=bindparam("recipient"),
    state=State.QUEUED,
    changed_at=now,
    due_at=now,
)
#: Copies with what they take from their mails. No `send_before`: it is about the customer's mail.
_READ_CLAIMED = (
    select(
        merchant_copies,
        *(outbox.c[name] for name in ("order_id", "payload", "accepted_at", "request_id")),
        null().label("send_before"),
    )
    .join(outbox, outbox.c.id == _copies.id)
    .where(_copies.id.in_(bindparam("ids", expanding=True)))
    .order_by(_copies.due_at, _copies.id)
)
_FIND = select(merchant_copies).where(_copies.id == bindparam("mail"))
_of_mails = _copies.id.in_(bindparam("mails", expanding=True))
_LOCK = select(_copies.state).where(_of_mails).with_for_update()
_DELETE = delete(merchant_copies).where(_of_mails)
_CANCEL = (
    update(merchant_copies)
    .where(_of_mails, is_due_state)
    .values(state=State.CANCELLED, changed_at=now)
    .returning(_copies.id)
)
_SET_DELIVERY = (
    update(merchant_copies)
    .where(
        _copies.id == bindparam("mail"),
        or_(_copies.delivery_at.is_(None), _copies.delivery_at <= bindparam("event_at")),
    )
    .values(delivery=bindparam("to_delivery"), delivery_at=bindparam("event_at"))
)


class CopyClaims:
    """The claims of copies by a process. `account_of` returns the relay account of a shop."""

    def __init__(self, database: Database, account_of: Callable[[str], str]) -> None:
        self._claims = FairClaims(database, account_of, merchant_copies)

    def claim(self, connection: Connection, request: ClaimRequest) -> list[Any]:
        """Lease due copies, and return them like rows of mails, longest due first."""
        ids = [row.id for row in self._claims.claim(connection, request)]
        return list(connection.execute(_READ_CLAIMED, {"ids": ids})) if ids else []


def find(connection: Connection, mail_id: int) -> Row[Any] | None:
    """Return the copy of a mail; None if there is none."""
    return connection.execute(_FIND, {"mail": mail_id}).first()


def cancel(connection: Connection, mail_ids: Collection[int]) -> None:
    """Cancel the waiting copies of mails."""
    ids = list(connection.execute(_CANCEL, {"mails": mail_ids}).scalars())
    history.record(connection, ids, Event.CANCELLED, State.CANCELLED, is_copy=True)


def set_delivery(connection: Connection, mail_id: int, delivery: Delivery, at: float) -> None:
    """Record what the relay reports about the copy of a mail, unless a later report is known."""
    connection.execute(_SET_DELIVERY, {"mail": mail_id, "to_delivery": delivery, "event_at": at})


def is_being_sent(connection: Connection, mail_ids: Collection[int]) -> bool:
    """Whether a copy of one of the mails is being sent. Locks the copies until the transaction ends."""
    return State.SENDING in connection.execute(_LOCK, {"mails": mail_ids}).scalars().all()


def delete_of(connection: Connection, mail_ids: Collection[int]) -> None:
    """Delete the copies of mails."""
    connection.execute(_DELETE, {"mails": mail_ids}).close()
