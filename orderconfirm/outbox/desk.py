"""The outbox as people use it: look a mail up, put it back, withdraw it, forget it."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, Update

from orderconfirm.models import Figures, OutboxEntry, State
from orderconfirm.outbox import statements as sql
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.rows import to_entry

#: What can be put back: everything that stopped, and an unknown outcome that need not wait.
RETRYABLE = (State.FAILED, State.HELD, State.EXPIRED, State.UNKNOWN)
#: What can be withdrawn: everything that is not on its way or out.
CANCELLABLE = (State.QUEUED, State.UNKNOWN, State.HELD, State.FAILED)
#: Mails forgotten in one transaction, so that the intake never waits long behind them.
FORGET_AT_ONCE = 500


class Desk:
    """Every method raises OutboxUnavailable when the database does not do its part."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, shop: str, order_id: str) -> OutboxEntry | None:
        """The order's newest mail with its history, or None."""
        with self._database.reading() as connection:
            row = connection.execute(sql.BY_ORDER, {"shop": shop, "order_id": order_id}).first()
            if row is None:
                return None
            events = connection.execute(sql.HISTORY, {"mail_id": row.id}).all()
        return to_entry(row, events)

    def newest(self, states: Collection[State], most: int) -> list[OutboxEntry]:
        """The last accepted mails in one of `states`, newest first, without their history."""
        with self._database.reading() as connection:
            rows = connection.execute(sql.NEWEST, {"states": list(states), "most": most}).all()
        return [to_entry(row) for row in rows]

    def requeue(self, shop: str, order_id: str | None, states: Collection[State] = RETRYABLE) -> int:
        """Make one order's mail, or with None all of the shop's in `states`, due now. Returns how many.

        Attempts and the time to give up start anew. What has lost its content cannot come back.
        """
        return self._change(sql.REQUEUE, shop, order_id, states, "requeued", State.QUEUED)

    def cancel(self, shop: str, order_id: str) -> bool:
        """Withdraw a mail that is not sent. False when it is sent, on its way, or withdrawn already."""
        return self._change(sql.CANCEL, shop, order_id, CANCELLABLE, "cancelled", State.CANCELLED) > 0

    def forget(self, age: float) -> int:
        """Delete the content of mails that ended more than `age` seconds ago, a batch of them; returns how many.

        Their ids stay for ever, so that a late replay of such an order still sends nothing.
        """
        values = {"age": age, "most": FORGET_AT_ONCE}
        return self._database.write(lambda connection: len(connection.execute(sql.FORGET, values).all()))

    def figures(self) -> Figures:
        """How many mails are where, and how long the longest has been due."""
        with self._database.reading() as connection:
            rows = connection.execute(sql.FIGURES).all()
            copies = connection.execute(sql.COPIES).scalar_one()
        moving = [row.waiting for row in rows if row.state in (State.QUEUED, State.UNKNOWN)]
        return Figures({State(row.state): row.mails for row in rows}, max([0.0, *moving]), copies)

    def _change(
        self,
        statement: Update,
        shop: str,
        order_id: str | None,
        states: Collection[State],
        event: str,
        state: State,
    ) -> int:
        chosen = {"whose": shop, "chosen_id": order_id, "every_order": order_id is None, "states": list(states)}
        happened = {"event": event, "state": state, "stage": None, "code": None, "text": None, "seconds": None}

        def job(connection: Connection) -> int:
            rows = connection.execute(statement, chosen).all()
            for row in rows:
                connection.execute(sql.ADD_HISTORY, {"mail_id": row.id, **happened})
            return len(rows)

        return self._database.write(job)
