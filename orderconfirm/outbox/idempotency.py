"""Idempotency keys: each belongs to the first request that came with it."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, select

from orderconfirm.errors import KeyConflict
from orderconfirm.outbox import statements as sql
from orderconfirm.outbox.tables import idempotency_keys

_BY_KEY = select(idempotency_keys).where(
    idempotency_keys.c.shop == bindparam("shop"), idempotency_keys.c.idempotency_key == bindparam("idempotency_key")
)
_FORGET = delete(idempotency_keys).where(
    idempotency_keys.c.shop == bindparam("whose"), idempotency_keys.c.order_id == bindparam("chosen_id")
)


class KeyUse(NamedTuple):
    """A key, and what it came with: `fingerprint` is that of the body."""

    shop: str
    idempotency_key: str
    order_id: str
    fingerprint: str


class IdempotencyKeys:
    """Asked inside a transaction, which ends without a trace when a key is refused."""

    def __init__(self, dialect: str) -> None:
        self._insert = (
            sql.insert_into(idempotency_keys, dialect)
            .values({column: bindparam(column) for column in KeyUse._fields})
            .on_conflict_do_nothing()
            .returning(idempotency_keys.c.order_id)
        )

    def take(self, connection: Connection, use: KeyUse) -> bool:
        """Remember a key. False: the same request came with it before. Raises KeyConflict when another one did."""
        if connection.execute(self._insert, use._asdict()).first() is not None:
            return True
        known = connection.execute(_BY_KEY, {"shop": use.shop, "idempotency_key": use.idempotency_key}).one()
        if (known.order_id, known.fingerprint) != (use.order_id, use.fingerprint):
            raise KeyConflict(use.idempotency_key, known.order_id)
        return False


def purge_keys(connection: Connection, shop: str, order_id: str) -> None:
    """A key is the shop's own text: it goes with the order's content."""
    connection.execute(_FORGET, {"whose": shop, "chosen_id": order_id})
