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


class Keys:
    """Asked and told inside a transaction."""

    def __init__(self, dialect: str) -> None:
        self._insert = (
            sql.insert_into(idempotency_keys, dialect)
            .values({column: bindparam(column) for column in KeyUse._fields})
            .on_conflict_do_nothing()
            .returning(idempotency_keys.c.order_id)
        )

    def is_known(self, connection: Connection, use: KeyUse) -> bool:
        """Whether the same request came before with this key. Raises KeyConflict when another one did."""
        asked = {"shop": use.shop, "idempotency_key": use.idempotency_key}
        row = connection.execute(_BY_KEY, asked).first()
        if row is not None and (row.order_id, row.fingerprint) != (use.order_id, use.fingerprint):
            raise KeyConflict(use.idempotency_key, row.order_id)
        return row is not None

    def keep(self, connection: Connection, use: KeyUse) -> None:
        """Remember a key. Raises KeyConflict when another process took it for another request meanwhile."""
        if connection.execute(self._insert, use._asdict()).first() is None:
            self.is_known(connection, use)


def forget_keys(connection: Connection, shop: str, order_id: str) -> None:
    """A key is the shop's own text: it goes with the order's content."""
    connection.execute(_FORGET, {"whose": shop, "chosen_id": order_id})
