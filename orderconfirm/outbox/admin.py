"""The outbox as people use it: look a mail up, put it back, withdraw it, forget it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, Update

from orderconfirm.errors import ContentDeleted, WrongState
from orderconfirm.models import Event, OutboxEntry, QueueStats, Resend, Search, State
from orderconfirm.order.serialization import fingerprint
from orderconfirm.outbox import statements as sql
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.delivery_events import events_of, purge_stray_events, purge_words
from orderconfirm.outbox.idempotency import IdempotencyKeys, KeyUse, purge_keys
from orderconfirm.outbox.rows import again_values, new_event, to_delivery, to_entry, to_history
from orderconfirm.outbox.suppressions import release

#: What can be put back: everything that stopped, and an unknown outcome that need not wait.
RETRYABLE = (State.FAILED, State.HELD, State.EXPIRED, State.UNKNOWN)
#: What can be withdrawn: everything that is not on its way or out.
CANCELLABLE = (State.QUEUED, State.UNKNOWN, State.HELD, State.FAILED)
#: Mails that are put back, or orders that are forgotten, in one transaction: the intake never waits long behind them.
AT_ONCE = 500


class OutboxAdmin:
    """Every method raises OutboxUnavailable when the database does not do its part."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = sql.insert_statement(database.dialect)
        self._keys = IdempotencyKeys(database.dialect)

    def find(self, shop: str, order_id: str) -> OutboxEntry | None:
        """The order's newest mail, with the history of all its mails and what the relay told of them; or None."""
        with self._database.reading() as connection:
            rows = connection.execute(sql.REVISIONS, {"shop": shop, "order_id": order_id}).all()
            if not rows:
                return None
            revisions = {row.id: row.revision for row in rows}
            events = [event for mail_id in revisions for event in connection.execute(sql.HISTORY, {"mail_id": mail_id})]
            events.sort(key=lambda event: event.id)
            return to_entry(
                rows[-1],
                [to_history(event, revisions[event.mail_id]) for event in events],
                [to_delivery(event, revisions[event.mail_id]) for event in events_of(connection, revisions)],
                [to_entry(row) for row in rows[:-1]],
            )

    def search(self, shop: str, wanted: Search, cursor: str | None, most: int) -> tuple[list[OutboxEntry], str | None]:
        """A page of a shop's mails, newest first, and the cursor of the next; None after the last.

        A cursor names the mail that the page ended with, so that mails accepted meanwhile move nothing. Raises
        ValueError for a cursor that is none of ours.
        """
        after = _read_cursor(cursor) if cursor else None
        with self._database.reading() as connection:
            rows = connection.execute(sql.search(shop, wanted, after, most + 1)).all()
        page = rows[:most]
        more = f"{page[-1].accepted_at!r}_{page[-1].id}" if len(rows) > most else None
        return [to_entry(row) for row in page], more

    def newest(self, states: Collection[State], most: int) -> list[OutboxEntry]:
        """The last accepted mails in one of `states`, newest first, without their history."""
        with self._database.reading() as connection:
            rows = connection.execute(sql.NEWEST, {"states": list(states), "most": most}).all()
        return [to_entry(row) for row in rows]

    def shops(self, order_id: str | None = None) -> list[str]:
        """Every shop that ever placed an order, or one of this id. It reads every id: too slow for a request."""
        statement = sql.SHOPS if order_id is None else sql.SHOPS_OF
        with self._database.reading() as connection:
            return list(connection.execute(statement, {"order_id": order_id} if order_id is not None else {}).scalars())

    def requeue(self, shop: str, order_id: str) -> int:
        """Make one order's mail due now, if it can be put back. Returns how many, 0 or 1.

        Attempts and the time to give up start anew. What has lost its content cannot come back.
        """
        return self._change(sql.REQUEUE, shop, order_id, RETRYABLE, Event.REQUEUED, State.QUEUED)

    def requeue_all(self, shop: str, states: Collection[State] = RETRYABLE) -> int:
        """Make all of the shop's mails in `states` due now that can be put back. Returns how many."""
        total, after = 0, 0
        while True:
            values = {"whose": shop, "states": list(states), "after": after, "most": AT_ONCE}
            ids = self._database.write(partial(_requeue_some, values))
            total += len(ids)
            if len(ids) < AT_ONCE:
                return total
            after = max(ids)

    def cancel(self, shop: str, order_id: str) -> bool:
        """Withdraw a mail that is not sent. False when it is sent, on its way, or withdrawn already."""
        return self._change(sql.CANCEL, shop, order_id, CANCELLABLE, Event.CANCELLED, State.CANCELLED) > 0

    def resend(self, wanted: Resend, name: Callable[[int], str]) -> tuple[OutboxEntry, bool] | None:
        """A new mail for a known order, due now; None for an unknown order. `name` makes a revision's Message-ID.

        A mail that waits for a person is withdrawn, and the address is released. False beside the order's newest mail:
        the same came before with this key, and nothing was done. Raises KeyConflict when something else came with it,
        WrongState when the last mail is still on its way, ContentDeleted when nothing is left to send.
        """
        shop, order_id, reason = wanted.shop, wanted.order_id, wanted.reason
        asked = fingerprint({"email": wanted.email or "", "reason": reason or ""})
        use = KeyUse(shop, wanted.idempotency_key, order_id, asked) if wanted.idempotency_key else None

        def job(connection: Connection) -> tuple[OutboxEntry, bool] | None:
            rows = _lock(connection, shop, order_id)
            if not rows:
                return None
            first, last = rows[0], rows[-1]
            if first.payload is None:
                raise ContentDeleted(f"the content of order {order_id} is deleted")
            if use and not self._keys.take(connection, use):
                return to_entry(last), False
            if last.state in (State.QUEUED, State.SENDING):
                raise WrongState(f"its mail is {last.state}: it goes out by itself")
            if last.state in (State.HELD, State.UNKNOWN, State.FAILED):
                chosen = {"whose": shop, "chosen_id": order_id, "states": [last.state]}
                connection.execute(sql.CANCEL, chosen)
                connection.execute(sql.ADD_HISTORY, new_event(last.id, Event.REPLACED, State.CANCELLED, reason))
            again = again_values(first, wanted.email, last.revision + 1, name(last.revision + 1))
            release(connection, shop, again["recipient"])
            row = connection.execute(self._insert, again).first()
            if row is None:  # a process on PostgreSQL that waited for another's lock has not seen the other's new row
                raise WrongState("it was sent again this moment")
            connection.execute(sql.ADD_HISTORY, new_event(row.id, Event.RESENT, State.QUEUED, reason))
            return to_entry(row), True

        return self._database.write_to_stay(job)

    def erase(self, shop: str, order_id: str) -> bool:
        """Delete everything personal of an order, and withdraw what waits; its id stays. False: no such order.

        Raises WrongState while a mail of it is on its way.
        """

        def job(connection: Connection) -> bool:
            rows = _lock(connection, shop, order_id)
            erased = connection.execute(sql.ERASE, {"whose": shop, "chosen_id": order_id}).all()
            if len(erased) < sum(row.erased_at is None for row in rows):  # all or none
                raise WrongState("its mail is being sent: try again in a minute")
            for row in erased:
                purge_words(connection, row.id)
                connection.execute(sql.ADD_HISTORY, new_event(row.id, Event.ERASED, State(row.state)))
            purge_keys(connection, shop, order_id)
            return bool(rows)

        is_known = self._database.write(job)
        self._database.scrub()
        return is_known

    def purge(self, age: float) -> int:
        """Delete the content of orders whose mails ended more than `age` seconds ago, some of them; returns how many.

        Their ids stay for ever, so that a late replay of such an order still sends nothing.
        """
        values = {"age": age, "most": AT_ONCE}

        def job(connection: Connection) -> int:
            forgotten = connection.execute(sql.PURGE, values).all()
            for row in forgotten:
                purge_words(connection, row.id)
            orders = {(row.shop, row.order_id) for row in forgotten}
            for shop, order_id in orders:
                purge_keys(connection, shop, order_id)
            purge_stray_events(connection, age)
            return len(orders)

        count = self._database.write(job)
        if count:
            self._database.scrub()
        return count

    def stats(self) -> QueueStats:
        """How many mails are where, and how long the longest has been due."""
        with self._database.reading() as connection:
            rows = connection.execute(sql.STATS).all()
            copies = connection.execute(sql.COPIES).scalar_one()
        moving = [row.waiting for row in rows if row.state in (State.QUEUED, State.UNKNOWN)]
        return QueueStats({State(row.state): row.mails for row in rows}, max([0.0, *moving]), copies)

    def _change(
        self, statement: Update, shop: str, order_id: str, states: Collection[State], event: Event, state: State
    ) -> int:
        values = {"whose": shop, "chosen_id": order_id, "states": list(states)}

        def job(connection: Connection) -> int:
            _lock(connection, shop, order_id)
            return len(_note_each(connection, connection.execute(statement, values).all(), event, state))

        return self._database.write(job)


def _requeue_some(values: dict[str, Any], connection: Connection) -> list[int]:
    return _note_each(connection, connection.execute(sql.REQUEUE_SOME, values).all(), Event.REQUEUED, State.QUEUED)


def _note_each(connection: Connection, rows: Sequence[Row[Any]], event: Event, state: State) -> list[int]:
    """Add `event` to the history of changed mails; returns their ids."""
    if rows:
        connection.execute(sql.ADD_HISTORY, [new_event(row.id, event, state) for row in rows])
    return [row.id for row in rows]


def _lock(connection: Connection, shop: str, order_id: str) -> Sequence[Row[Any]]:
    """An order's mails, which nobody else changes before this transaction ends."""
    return connection.execute(sql.LOCKED_REVISIONS, {"shop": shop, "order_id": order_id}).all()


def _read_cursor(cursor: str) -> tuple[float, int]:
    moment, _, number = cursor.partition("_")
    return float(moment), int(number)
