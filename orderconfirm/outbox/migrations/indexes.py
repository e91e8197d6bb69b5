"""Indexes that are created and dropped while other processes write.

PostgreSQL does so outside a transaction, which commits what the revision has done before. So a revision that calls one
of these functions does nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from alembic import op
from sqlalchemy import text


def create_index(name: str, table: str, columns: Sequence[str], condition: str | None = None) -> None:
    """Create an index, or a partial one whose rows meet `condition`. CONCURRENTLY on PostgreSQL."""
    where = text(condition) if condition else None
    if not _is_postgresql():
        op.create_index(name, table, columns, sqlite_where=where)
        return
    drop_index(name, table)  # an attempt that was killed leaves an invalid index
    try:
        with _outside_transaction():
            op.create_index(name, table, columns, postgresql_where=where, postgresql_concurrently=True)
    except Exception:
        drop_index(name, table)
        raise


def drop_index(name: str, table: str) -> None:
    """Drop an index if it exists. CONCURRENTLY on PostgreSQL."""
    if not _is_postgresql():
        op.drop_index(name, table, if_exists=True)
        return
    with _outside_transaction():
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)


def _is_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"


@contextmanager
def _outside_transaction() -> Iterator[None]:
    with op.get_context().autocommit_block():
        # The statement waits for the transactions of others, but none of them waits for it.
        op.execute("SET lock_timeout = 0")
        yield
