"""Deletion of personal data: on request, and of an order's content after the retention period."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, case, null, or_, select, text, tuple_, update

from orderconfirm.errors import WrongState
from orderconfirm.models import Event, State
from orderconfirm.outbox import callback_events, delivery_events, history, idempotency, merchant_copies, webhook_log
from orderconfirm.outbox.admin import lock_order
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.sql import is_due_state, is_newest, now
from orderconfirm.outbox.tables import IS_FINISHED_WITH_CONTENT, outbox

#: Maximum number of orders purged in one transaction. New orders wait while it runs.
MAX_BATCH = 500

_NO_CONTENT = {"payload": null(), "recipient": null(), "address_hash": null(), "reason": null(), "request_id": null()}
#: All mails of an order are purged together: as long as one of them has content, the order can be resent. Each order
#: is left to the process that has begun to purge it. A CTE, as in `leases`.
_old = (
    select(outbox.c.shop, outbox.c.order_id)
    .where(text(IS_FINISHED_WITH_CONTENT), outbox.c.changed_at < now - bindparam("age"), is_newest)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True, of=outbox)
    .cte("old")
)
_PURGE = (
    update(outbox)
    .where(tuple_(outbox.c.shop, outbox.c.order_id).in_(select(_old)))
    .values(**_NO_CONTENT)
    .returning(outbox.c.id, outbox.c.shop, outbox.c.order_id)
)
#: Deletes the personal data of an order's mails and cancels waiting ones, except a mail that is being sent.
_ERASE = (
    update(outbox)
    .where(
        outbox.c.shop == bindparam("of_shop"),
        outbox.c.order_id == bindparam("chosen_id"),
        outbox.c.state != State.SENDING,
        outbox.c.erased_at.is_(None),
    )
    .values(
        **_NO_CONTENT,
        erased_at=now,
        state=case((or_(is_due_state, outbox.c.state == State.HELD), State.CANCELLED), else_=outbox.c.state),
        changed_at=now,
    )
    .returning(outbox.c.id, outbox.c.shop, outbox.c.order_id, outbox.c.state)
)


class Retention:
    """Deletion of personal data. Order ids are kept, so that a replayed order never sends a second mail.

    Every method raises OutboxUnavailable when the database fails.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def erase(self, shop: str, order_id: str) -> bool:
        """Delete an order's personal data and cancel its waiting mails. Returns False for an unknown order.

        Of its history, only the erasure is left. Raises WrongState while one of its mails is being sent.
        """

        def job(connection: Connection) -> bool:
            rows = lock_order(connection, shop, order_id)
            erased = connection.execute(_ERASE, {"of_shop": shop, "chosen_id": order_id}).all()
            is_copy_being_sent = merchant_copies.is_being_sent(connection, [row.id for row in rows])
            if is_copy_being_sent or len(erased) < sum(row.erased_at is None for row in rows):  # all or none
                raise WrongState("its mail is being sent: try again in a minute")
            _delete_events(connection, erased)
            webhook_log.delete_of(connection, shop, order_id)
            for row in erased:
                history.record(connection, [row.id], Event.ERASED, State(row.state))
            return bool(rows)

        is_known = self._database.write(job)
        self._database.empty_log()
        return is_known

    def purge(self, age: float) -> int:
        """Delete what is known of orders that ended more than `age` seconds ago, except their mails' ids and states.

        Returns how many orders these are, MAX_BATCH at most.
        """

        def job(connection: Connection) -> int:
            purged = connection.execute(_PURGE, {"age": age, "limit": MAX_BATCH}).all()
            _delete_events(connection, purged)
            delivery_events.delete_unmatched(connection, age)
            webhook_log.delete_old(connection, age, MAX_BATCH)
            return len({(row.shop, row.order_id) for row in purged})

        count = self._database.write(job)
        if count:
            self._database.empty_log()
        return count


def _delete_events(connection: Connection, mails: Sequence[Row[Any]]) -> None:
    """Delete the history, delivery events, copies, callbacks and idempotency keys of mails, in one statement each."""
    if mails:
        mail_ids = [mail.id for mail in mails]
        history.delete_of(connection, mail_ids)
        delivery_events.delete_of(connection, mail_ids)
        merchant_copies.delete_of(connection, mail_ids)
        callback_events.delete_of(connection, mail_ids)
        idempotency.delete_of(connection, list({(mail.shop, mail.order_id) for mail in mails}))
