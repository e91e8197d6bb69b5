"""Idempotency keys: each belongs to the first body that came with it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, delete, select

from orderconfirm.errors import KeyConflict
from orderconfirm.models import NewMail
from orderconfirm.outbox import statements as sql
from orderconfirm.outbox.tables import idempotency_keys

_BY_KEY = select(idempotency_keys).where(
    idempotency_keys.c.shop == bindparam("shop"), idempotency_keys.c.idempotency_key == bindparam("idempotency_key")
)
_FORGET = delete(idempotency_keys).where(
    idempotency_keys.c.shop == bindparam("whose"), idempotency_keys.c.order_id == bindparam("chosen_id")
)


def insert_key(dialect: str) -> Any:
    """Remember a key; no row comes back when it is known."""
    return (
        sql.insert_into(idempotency_keys, dialect)
        .values({column: bindparam(column) for column in idempotency_keys.c.keys()})
        .on_conflict_do_nothing()
        .returning(idempotency_keys.c.order_id)
    )


def expect_own_key(connection: Connection, mail: NewMail) -> None:
    """Raises KeyConflict when the mail's key came with another body."""
    row = connection.execute(_BY_KEY, {"shop": mail.shop, "idempotency_key": mail.idempotency_key}).first()
    if row is not None and (row.order_id, row.fingerprint) != (mail.order_id, mail.fingerprint):
        raise KeyConflict(mail.idempotency_key or "", row.order_id)


def keep_key(connection: Connection, insert: Any, mail: NewMail) -> None:
    """Remember the mail's key. Raises KeyConflict when another process took it for another body meanwhile."""
    values = {
        "shop": mail.shop,
        "idempotency_key": mail.idempotency_key,
        "order_id": mail.order_id,
        "fingerprint": mail.fingerprint,
    }
    if connection.execute(insert, values).first() is None:
        expect_own_key(connection, mail)


def forget_keys(connection: Connection, shop: str, order_id: str) -> None:
    """A key is the shop's own text: it goes with the order's content."""
    connection.execute(_FORGET, {"whose": shop, "chosen_id": order_id})
