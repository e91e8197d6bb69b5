"""Operations on single mails and orders: find, retry, cancel, resend."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, Update, and_, bindparam, case, null, select, update

from orderconfirm.errors import ContentDeleted, WrongState
from orderconfirm.logs import request_id
from orderconfirm.models import Event, OutboxEntry, Resend, State
from orderconfirm.order.models import Order
from orderconfirm.order.serialization import encode_payload, fingerprint, read_order
from orderconfirm.outbox import delivery_events, history, merchant_copies, suppressions
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.idempotency import IdempotencyKeys, KeyUse
from orderconfirm.outbox.rows import resend_values, to_copy, to_delivery, to_entry, to_history
from orderconfirm.outbox.sql import (
    LOCKED_REVISIONS,
    REVISIONS,
    insert_mail,
    is_newest,
    is_suppressed,
    now,
    state_of_few,
)
from orderconfirm.outbox.tables import outbox
from orderconfirm.outbox.writer import run_jobs

#: Maximum number of mails queued again in one transaction: new orders wait for it.
MAX_BATCH = 500

_all_chosen = and_(
    outbox.c.shop == bindparam("of_shop"), outbox.c.state.in_(bindparam("states", expanding=True)), is_newest
)
_one_chosen = and_(
    is_newest,
    outbox.c.shop == bindparam("of_shop"),
    outbox.c.order_id == bindparam("chosen_id"),
    state_of_few.in_(bindparam("states", expanding=True)),
)
# Mails to a suppressed address stay held until a resend releases it.
_can_be_retried = and_(outbox.c.payload.is_not(None), ~is_suppressed)
_requeue = (
    update(outbox)
    .values(
        state=State.QUEUED,
        reason=null(),
        changed_at=now,
        due_at=now,
        tried_at=null(),
        attempts=0,
        # A retry on request sends the mail even if this time has passed.
        send_before=case((outbox.c.send_before > now, outbox.c.send_before)),
    )
    .returning(outbox.c.id)
)
_REQUEUE = _requeue.where(_one_chosen, _can_be_retried)
#: The shop's next mails after the id `after`.
_REQUEUE_BATCH = _requeue.where(
    outbox.c.id.in_(
        select(outbox.c.id)
        .where(_all_chosen, _can_be_retried, outbox.c.id > bindparam("after"))
        .order_by(outbox.c.id)
        .limit(bindparam("limit"))
    )
)
_REPLACE = (
    update(outbox)
    .where(outbox.c.id == bindparam("mail"))
    .values(payload=bindparam("new_payload"), fingerprint=bindparam("new_fingerprint"))
)
_CANCEL = update(outbox).where(_one_chosen).values(state=State.CANCELLED, changed_at=now).returning(outbox.c.id)


class OutboxAdmin:
    """Reads and changes single mails on request.

    Every method raises OutboxUnavailable when the database fails.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = insert_mail(database.dialect, *outbox.c)
        self._keys = IdempotencyKeys(database)

    def find(self, shop: str, order_id: str) -> OutboxEntry | None:
        """Return the order's newest mail, with the history and delivery events of all its mails; None if unknown."""
        with self._database.reading() as connection:
            rows = connection.execute(REVISIONS, {"shop": shop, "order_id": order_id}).all()
            if not rows:
                return None
            revisions = {row.id: row.revision for row in rows}
            events, copy_events = _parted(history.read(connection, revisions))
            reports, copy_reports = _parted(delivery_events.read(connection, revisions))
            copy = merchant_copies.find(connection, rows[0].id)
        return to_entry(
            rows[-1],
            [to_history(row, revisions[row.mail_id]) for row in events],
            [to_delivery(row, revisions[row.mail_id]) for row in reports],
            [to_entry(row) for row in rows[:-1]],
            copy
            and to_copy(
                copy, [to_history(row, 0) for row in copy_events], [to_delivery(row, 0) for row in copy_reports]
            ),
        )

    def stored_order(self, shop: str, order_id: str) -> Order | None:
        """Return the order of its newest mail; None if it is unknown or its content is deleted.

        Raises UnreadableOrder.
        """
        with self._database.reading() as connection:
            rows = connection.execute(REVISIONS, {"shop": shop, "order_id": order_id}).all()
        return read_order(rows[-1].payload, to_entry(rows[-1]).accepted_at) if rows and rows[-1].payload else None

    def requeue(self, shop: str, order_id: str) -> int:
        """Make an order's mail due now if it can be retried. Returns the number of changed mails, 0 or 1.

        Its attempts and the time until it is given up start again. A mail without content cannot be retried.
        """
        return self._change(_REQUEUE, shop, order_id, State.RETRYABLE, Event.REQUEUED, State.QUEUED)

    def requeue_batch(self, shops: Sequence[str], states: Collection[str], cursor: str = "") -> tuple[int, str | None]:
        """Do the same for the next mails of `shops` in `states`. A `cursor` names the last mail before them.

        Returns how many, and the cursor of the next batch; None when there are no more.
        """
        after, _, current = cursor.partition(" ")
        rest = shops[shops.index(current) :] if current in shops else shops
        if not rest:
            return 0, None
        last = int(after) if re.fullmatch("[0-9]{1,18}", after) else 0
        values = {"of_shop": rest[0], "states": list(states), "after": last, "limit": MAX_BATCH}
        ids = self._database.write(partial(_requeue_batch, values))
        if len(ids) == MAX_BATCH:
            return len(ids), f"{max(ids)} {rest[0]}"
        return len(ids), f"0 {rest[1]}" if rest[1:] else None

    def cancel(self, shop: str, order_id: str) -> bool:
        """Cancel a mail that has not been sent, and its waiting copy.

        Returns False when it is sent, being sent or already cancelled.
        """
        change = _CANCEL, shop, order_id, State.CANCELLABLE, Event.CANCELLED, State.CANCELLED
        return self._change(*change, with_copy=merchant_copies.cancel) > 0

    def resend(self, resend: Resend, message_id_of: Callable[[int], str]) -> tuple[OutboxEntry, bool] | None:
        """Add a new mail for a known order, due now; None for an unknown order.

        `message_id_of` returns the Message-ID of a revision. A held, failed or unknown mail is cancelled, and the
        address is removed from the suppression list. Returns the order's newest mail, and False when the same request
        used its key before, so that nothing was done. Raises KeyConflict when another request used the key, WrongState
        while the last mail is queued or being sent, ContentDeleted when the order's content is deleted.
        """
        shop, order_id, reason, request = resend.shop, resend.order_id, resend.reason, request_id.get()
        digest = fingerprint({"email": resend.email or "", "reason": reason or ""})
        use = KeyUse(shop, resend.idempotency_key, order_id, digest) if resend.idempotency_key else None

        def job(connection: Connection) -> tuple[OutboxEntry, bool] | None:
            rows = lock_order(connection, shop, order_id)
            if not rows:
                return None
            first, last = rows[0], rows[-1]
            if first.payload is None:
                raise ContentDeleted(f"the content of order {order_id} is deleted")
            if use and not self._keys.take(connection, use):
                return to_entry(last), False
            if last.state in State.UNDER_WAY:
                raise WrongState(f"the order's newest mail is {last.state}: it is sent without a resend")
            if last.state in State.CANCELLABLE:
                connection.execute(_CANCEL, {"of_shop": shop, "chosen_id": order_id, "states": [last.state]})
                history.record(connection, [last.id], Event.REPLACED, State.CANCELLED, reason)
            revision = last.revision + 1
            values = resend_values(first, resend.email, revision, message_id_of(revision), request)
            suppressions.release(connection, shop, values["address_hash"])
            row = connection.execute(self._insert, values).first()
            if row is None:  # on PostgreSQL: this request waited for the lock and does not see the other's new row
                raise WrongState("another request has just resent this order")
            history.record(connection, [row.id], Event.RESENT, State.QUEUED, reason)
            return to_entry(row), True

        result: tuple[OutboxEntry, bool] | None = self._database.write_order(run_jobs, job)
        return result

    def replace_content(
        self, shop: str, order_id: str, request: dict[str, Any], defaults: dict[str, object], reason: str
    ) -> bool:
        """Store another content for a known order, for a later resend. No mail is sent.

        Returns False while its mail is queued or being sent, and when its content is deleted.
        """
        values = {"new_payload": encode_payload(request, defaults), "new_fingerprint": fingerprint(request)}

        def job(connection: Connection) -> bool:
            rows = lock_order(connection, shop, order_id)
            if not rows or rows[0].payload is None or rows[-1].state in State.UNDER_WAY:
                return False
            connection.execute(_REPLACE, {"mail": rows[0].id, **values})
            history.record(connection, [rows[-1].id], Event.CHANGED, State(rows[-1].state), reason)
            return True

        is_replaced: bool = self._database.write(job)
        return is_replaced

    def _change(
        self,
        statement: Update,
        shop: str,
        order_id: str,
        states: Collection[str],
        event: Event,
        state: State,
        with_copy: Callable[[Connection, Collection[int]], None] | None = None,
    ) -> int:
        values = {"of_shop": shop, "chosen_id": order_id, "states": list(states)}

        def job(connection: Connection) -> int:
            lock_order(connection, shop, order_id)
            ids = list(connection.execute(statement, values).scalars())
            history.record(connection, ids, event, state)
            if with_copy:
                with_copy(connection, ids)
            return len(ids)

        return self._database.write(job)


def lock_order(connection: Connection, shop: str, order_id: str) -> Sequence[Row[Any]]:
    """Return an order's mails, oldest first, locked until the transaction ends."""
    return connection.execute(LOCKED_REVISIONS, {"shop": shop, "order_id": order_id}).all()


def _parted(rows: Collection[Row[Any]]) -> tuple[list[Row[Any]], list[Row[Any]]]:
    """Return the events of mails, and those of copies."""
    return [row for row in rows if not row.is_copy], [row for row in rows if row.is_copy]


def _requeue_batch(values: dict[str, Any], connection: Connection) -> list[int]:
    ids = list(connection.execute(_REQUEUE_BATCH, values).scalars())
    history.record(connection, ids, Event.REQUEUED, State.QUEUED)
    return ids
