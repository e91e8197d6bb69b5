"""Idempotency keys: each belongs to the first request that used it."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, tuple_

from orderconfirm.errors import KeyConflict
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.sql import insert_into
from orderconfirm.outbox.tables import idempotency_keys

_FIND = select(idempotency_keys).where(
    idempotency_keys.c.shop == bindparam("shop"), idempotency_keys.c.idempotency_key == bindparam("idempotency_key")
)
_DELETE = delete(idempotency_keys).where(
    tuple_(idempotency_keys.c.shop, idempotency_keys.c.order_id).in_(bindparam("orders", expanding=True))
)


class KeyUse(NamedTuple):
    """A key and the request that used it. `fingerprint` is that of the request's body."""

    shop: str
    idempotency_key: str
    order_id: str
    fingerprint: str


class IdempotencyKeys:
    """The keys in use. The methods run in the caller's transaction."""

    def __init__(self, database: Database) -> None:
        self._find = database.compiled(_FIND)
        self._insert = database.compiled(
            insert_into(idempotency_keys, database.dialect)
            .values({column: bindparam(column) for column in KeyUse._fields})
            .on_conflict_do_nothing()
        )

    def take(self, connection: Connection, use: KeyUse) -> bool:
        """Remember a key. Returns False when the same request used it before.

        Raises KeyConflict when another request used it.
        """
        if self._insert.changes(connection, use._asdict()):
            return True
        if conflict := self.conflict(connection, use):
            raise conflict
        return False

    def conflict(self, connection: Connection, use: KeyUse) -> KeyConflict | None:
        """Return the error that `take` would raise, or None."""
        for known in self._find.rows(connection, {"shop": use.shop, "idempotency_key": use.idempotency_key}):
            if (known.order_id, known.fingerprint) != (use.order_id, use.fingerprint):
                return KeyConflict(use.idempotency_key, known.order_id)
        return None


def delete_of(connection: Connection, orders: Collection[tuple[str, str]]) -> None:
    """Delete the keys of orders, given as (shop, order_id), with their content: they may hold personal data."""
    connection.execute(_DELETE, {"orders": orders}).close()
