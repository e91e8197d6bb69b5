"""The addition of new orders' mails to the outbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection

from orderconfirm.errors import KeyConflict
from orderconfirm.models import Event, NewCopy, NewMail, OutboxEntry, State
from orderconfirm.outbox import history, merchant_copies
from orderconfirm.outbox.callback_events import CallbackEvents, MailEvent, no_callbacks
from orderconfirm.outbox.capacity import Capacity
from orderconfirm.outbox.causes import Cause
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.idempotency import IdempotencyKeys, KeyUse
from orderconfirm.outbox.rows import new_entry, new_values, to_entry
from orderconfirm.outbox.session_locks import NOTIFY_DUE
from orderconfirm.outbox.sql import REVISIONS, insert_mail
from orderconfirm.outbox.tables import outbox


@dataclass(frozen=True, slots=True)
class AddResult:
    """What the outbox holds for an order id: this order, or one accepted before (`is_new` False).

    `entry` is the order's newest mail; `fingerprint` and `payload` are the order as it was accepted.
    """

    entry: OutboxEntry
    fingerprint: str
    payload: str | None
    is_new: bool


@dataclass(frozen=True, slots=True)
class Addition:
    """A new mail's column values, and its idempotency key and its merchant's copy if it has them."""

    values: Mapping[str, Any]
    key: KeyUse | None
    copy: NewCopy | None

    @classmethod
    def of(cls, mail: NewMail) -> Addition:
        key = mail.idempotency_key
        use = KeyUse(mail.shop, key, mail.order_id, mail.fingerprint) if key else None
        return cls(new_values(mail), use, mail.copy)


class Additions:
    """The operation that adds mails, for the writer."""

    def __init__(
        self,
        database: Database,
        capacity: Capacity,
        notifies: bool = False,
        has_callback: Callable[[str], bool] = no_callbacks,
    ) -> None:
        """With `notifies`, each transaction that adds a mail notifies the senders (PostgreSQL only).

        `has_callback` is whether a shop's events are posted to it.
        """
        self._insert = database.compiled(
            insert_mail(database.dialect, *(outbox.c[name] for name in ("id", "state", "reason", "accepted_at")))
        )
        self._insert_copy = database.compiled(merchant_copies.INSERT)
        self._keys = IdempotencyKeys(database)
        self._capacity = capacity
        self._callback_events = CallbackEvents(database, has_callback)
        self._notifies = notifies

    def add_all(self, connection: Connection, additions: Sequence[Addition]) -> list[AddResult | KeyConflict | None]:
        """Add mails. A result is None when there is no room for the mail."""
        results = [self._add(connection, addition) for addition in additions]
        if self._notifies and any(isinstance(result, AddResult) and result.is_new for result in results):
            connection.exec_driver_sql(NOTIFY_DUE).close()
        return results

    def _add(self, connection: Connection, addition: Addition) -> AddResult | KeyConflict | None:
        values, key = addition.values, addition.key
        conflict = self._keys.conflict(connection, key) if key else None
        rows = self._insert.rows(connection, values) if not conflict and self._capacity.take(connection) else []
        if rows:
            [row] = rows
            if row.state == State.HELD:
                history.record(connection, [row.id], Event.HELD, State.HELD, row.reason)
                event = MailEvent(row.id, values["shop"], Event.HELD, Cause.SUPPRESSED)
                self._callback_events.add(connection, [event])
            if copy := addition.copy:
                self._insert_copy.changes(connection, {"id": row.id, "shop": values["shop"], **asdict(copy)})
            result = AddResult(new_entry(values, row), values["fingerprint"], values["payload"], is_new=True)
        else:
            known = connection.execute(REVISIONS, {"shop": values["shop"], "order_id": values["order_id"]}).all()
            if not known:
                return conflict
            result = AddResult(to_entry(known[-1]), known[0].fingerprint, known[0].payload, is_new=False)
        # Ignore the key if the stored order differs or its content is deleted.
        if key and result.fingerprint == key.fingerprint and result.payload is not None:
            if conflict:
                return conflict
            self._keys.take(connection, key)
        return result
