"""Operations on single mails and orders: find, search, retry, cancel, resend."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, Select, Update, and_, bindparam, case, null, select, tuple_, union_all, update

from orderconfirm.errors import ContentDeleted, WrongState
from orderconfirm.models import Event, OutboxEntry, Resend, Search, State
from orderconfirm.order.models import Order
from orderconfirm.order.serialization import fingerprint, read_order
from orderconfirm.outbox import delivery_events, history
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.idempotency import IdempotencyKeys, KeyUse
from orderconfirm.outbox.rows import resend_values, to_delivery, to_entry, to_history
from orderconfirm.outbox.sql import (
    LOCKED_REVISIONS,
    REVISIONS,
    insert_mail,
    is_newest,
    is_suppressed,
    now,
    state_of_few,
)
from orderconfirm.outbox.suppressions import release
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
_CANCEL = update(outbox).where(_one_chosen).values(state=State.CANCELLED, changed_at=now).returning(outbox.c.id)

_NEWEST = (
    select(outbox)
    .where(outbox.c.state.in_(bindparam("states", expanding=True)))
    .order_by(outbox.c.id.desc())
    .limit(bindparam("limit"))
)
_SHOPS = select(outbox.c.shop).distinct().order_by(outbox.c.shop)
_SHOPS_OF = _SHOPS.where(outbox.c.order_id == bindparam("order_id"))


def _search_statement(shop: str, search: Search, after: tuple[float, int] | None, limit: int) -> Select[Any]:
    """Return the SELECT of a shop's mails, newest first, from (accepted_at, id) `after` on. Every case uses an index.

    The index on states lists the mails of one state in order of time, but not those of several states. So the newest
    mails of each state are read, and the newest of these are returned.
    """
    mails = outbox.c
    newest_first = (mails.accepted_at.desc(), mails.id.desc())
    conditions = [mails.shop == shop, mails.erased_at.is_(None)]
    if search.recipient:
        conditions.append(mails.recipient == search.recipient.lower())
    if search.since:
        conditions.append(mails.accepted_at >= search.since.timestamp())
    ends = [end for end in (after, search.until and (search.until.timestamp(), 0)) if end]
    if ends:
        # With two upper bounds SQLite would read everything between them by time.
        conditions.append(tuple_(mails.accepted_at, mails.id) < min(ends))
    if search.states and search.recipient:
        conditions.append(state_of_few.in_(search.states))
    elif search.states:
        newest = select(mails.id).where(*conditions).order_by(*newest_first).limit(limit)
        of_each = [newest.where(mails.state == state).subquery() for state in sorted(set(search.states))]
        conditions = [mails.id.in_(union_all(*(select(each.c.id) for each in of_each)))]
    return select(outbox).where(*conditions).order_by(*newest_first).limit(limit)


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
            return to_entry(
                rows[-1],
                [to_history(row, revisions[row.mail_id]) for row in history.read(connection, revisions)],
                [to_delivery(row, revisions[row.mail_id]) for row in delivery_events.read(connection, revisions)],
                [to_entry(row) for row in rows[:-1]],
            )

    def stored_order(self, shop: str, order_id: str) -> Order | None:
        """Return the order of its newest mail; None if it is unknown or its content is deleted.

        Raises UnreadableOrder.
        """
        with self._database.reading() as connection:
            rows = connection.execute(REVISIONS, {"shop": shop, "order_id": order_id}).all()
        return read_order(rows[-1].payload, to_entry(rows[-1]).accepted_at) if rows and rows[-1].payload else None

    def search(self, shop: str, search: Search, cursor: str | None, limit: int) -> tuple[list[OutboxEntry], str | None]:
        """Return a page of a shop's mails, newest first, and the cursor of the next page; None after the last.

        A cursor names the last mail of its page, so that mails accepted meanwhile do not shift the pages. Raises
        ValueError for a malformed cursor.
        """
        after = _read_cursor(cursor) if cursor else None
        with self._database.reading() as connection:
            rows = connection.execute(_search_statement(shop, search, after, limit + 1)).all()
        page = rows[:limit]
        next_cursor = f"{page[-1].accepted_at!r}_{page[-1].id}" if len(rows) > limit else None
        return [to_entry(row) for row in page], next_cursor

    def newest(self, states: Collection[State], limit: int) -> list[OutboxEntry]:
        """Return the last accepted mails in one of `states`, newest first, without their history."""
        with self._database.reading() as connection:
            rows = connection.execute(_NEWEST, {"states": list(states), "limit": limit}).all()
        return [to_entry(row) for row in rows]

    def shops(self, order_id: str | None = None) -> list[str]:
        """Return every shop that placed an order, or one with this id. Reads every row: too slow for a request."""
        statement, values = (_SHOPS, {}) if order_id is None else (_SHOPS_OF, {"order_id": order_id})
        with self._database.reading() as connection:
            return list(connection.execute(statement, values).scalars())

    def requeue(self, shop: str, order_id: str) -> int:
        """Make an order's mail due now if it can be retried. Returns the number of changed mails, 0 or 1.

        Its attempts and the time until it is given up start again. A mail without content cannot be retried.
        """
        return self._change(_REQUEUE, shop, order_id, State.RETRYABLE, Event.REQUEUED, State.QUEUED)

    def requeue_all(self, shop: str, states: Collection[str] = State.RETRYABLE) -> int:
        """Make the shop's mails in `states` due now, if they can be retried. Returns how many."""
        total, after = 0, 0
        while True:
            values = {"of_shop": shop, "states": list(states), "after": after, "limit": MAX_BATCH}
            ids = self._database.write(partial(_requeue_batch, values))
            total += len(ids)
            if len(ids) < MAX_BATCH:
                return total
            after = max(ids)

    def cancel(self, shop: str, order_id: str) -> bool:
        """Cancel a mail that has not been sent. Returns False when it is sent, being sent or already cancelled."""
        return self._change(_CANCEL, shop, order_id, State.CANCELLABLE, Event.CANCELLED, State.CANCELLED) > 0

    def resend(self, resend: Resend, message_id_of: Callable[[int], str]) -> tuple[OutboxEntry, bool] | None:
        """Add a new mail for a known order, due now; None for an unknown order.

        `message_id_of` returns the Message-ID of a revision. A held, failed or unknown mail is cancelled, and the
        address is removed from the suppression list. Returns the order's newest mail, and False when the same request
        used its key before, so that nothing was done. Raises KeyConflict when another request used the key, WrongState
        while the last mail is queued or being sent, ContentDeleted when the order's content is deleted.
        """
        shop, order_id, reason = resend.shop, resend.order_id, resend.reason
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
            values = resend_values(first, resend.email, revision, message_id_of(revision))
            release(connection, shop, values["recipient"])
            row = connection.execute(self._insert, values).first()
            if row is None:  # on PostgreSQL: this request waited for the lock and does not see the other's new row
                raise WrongState("another request has just resent this order")
            history.record(connection, [row.id], Event.RESENT, State.QUEUED, reason)
            return to_entry(row), True

        result: tuple[OutboxEntry, bool] | None = self._database.write_order(run_jobs, job)
        return result

    def _change(
        self, statement: Update, shop: str, order_id: str, states: Collection[str], event: Event, state: State
    ) -> int:
        values = {"of_shop": shop, "chosen_id": order_id, "states": list(states)}

        def job(connection: Connection) -> int:
            lock_order(connection, shop, order_id)
            ids = list(connection.execute(statement, values).scalars())
            history.record(connection, ids, event, state)
            return len(ids)

        return self._database.write(job)


def lock_order(connection: Connection, shop: str, order_id: str) -> Sequence[Row[Any]]:
    """Return an order's mails, oldest first, locked until the transaction ends."""
    return connection.execute(LOCKED_REVISIONS, {"shop": shop, "order_id": order_id}).all()


def _requeue_batch(values: dict[str, Any], connection: Connection) -> list[int]:
    ids = list(connection.execute(_REQUEUE_BATCH, values).scalars())
    history.record(connection, ids, Event.REQUEUED, State.QUEUED)
    return ids


def _read_cursor(cursor: str) -> tuple[float, int]:
    accepted_at, _, mail_id = cursor.partition("_")
    return float(accepted_at), int(mail_id)
