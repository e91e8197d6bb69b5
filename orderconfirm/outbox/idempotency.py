"""Idempotency keys: each belongs to the first request that used it."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, select

from orderconfirm.errors import KeyConflict
from orderconfirm.outbox.sql import insert_into
from orderconfirm.outbox.tables import idempotency_keys

_FIND = select(idempotency_keys).where(
    idempotency_keys.c.shop == bindparam("shop"), idempotency_keys.c.idempotency_key == bindparam("idempotency_key")
)
_PURGE = delete(idempotency_keys).where(
    idempotency_keys.c.shop == bindparam("shop"), idempotency_keys.c.order_id == bindparam("order_id")
)


class KeyUse(NamedTuple):
    """A key and the request that used it. `fingerprint` is that of the request's body."""

    shop: str
    idempotency_key: str
    order_id: str
    fingerprint: str


class IdempotencyKeys:
    """The keys that were used. Its methods run inside a transaction of the caller."""

    def __init__(self, dialect: str) -> None:
        self._insert = (
            insert_into(idempotency_keys, dialect)
            .values({column: bindparam(column) for column in KeyUse._fields})
            .on_conflict_do_nothing()
            .returning(idempotency_keys.c.order_id)
        )

    def take(self, connection: Connection, use: KeyUse) -> bool:
        """Remember a key. Returns False when the same request used it before.

        Raises KeyConflict when another request did.
        """
        if connection.execute(self._insert, use._asdict()).first() is not None:
            return True
        known = connection.execute(_FIND, {"shop": use.shop, "idempotency_key": use.idempotency_key}).one()
        if (known.order_id, known.fingerprint) != (use.order_id, use.fingerprint):
            raise KeyConflict(use.idempotency_key, known.order_id)
        return False


def purge_keys(connection: Connection, shop: str, order_id: str) -> None:
    """Delete an order's keys: a key is the shop's own text, and goes with the order's content."""
    connection.execute(_PURGE, {"shop": shop, "order_id": order_id})
