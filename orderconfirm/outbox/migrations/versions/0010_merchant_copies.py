"""The merchant's copy of an order's first mail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
OLDEST_COMPATIBLE = "0001"

_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
#: The tables whose rows are about a mail or about its copy.
_EVENTS = ("history", "delivery_events")
#: Indexes of the new table, which is empty: they block nobody.
_INDEXES = {
    "merchant_copies_due": ("state IN ('queued', 'unknown')", ["shop", "due_at"]),
    "merchant_copies_leased": ("state IN ('sending')", ["lease_until"]),
}


def upgrade() -> None:
    op.create_table(
        "merchant_copies",
        sa.Column("id", _Id, sa.ForeignKey("outbox.id"), primary_key=True, autoincrement=False),
        sa.Column("shop", sa.String(64), nullable=False),
        sa.Column("message_id", sa.String(255), nullable=False),
        sa.Column("recipient", sa.String(254), nullable=False),
        sa.Column("tried_at", sa.Double),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("possible_copies", sa.Integer, nullable=False, server_default="0"),
        sa.Column("reason", sa.Text),
        sa.Column("delivery", sa.String(16)),
        sa.Column("delivery_at", sa.Double),
        sa.Column("lease_token", sa.String(32)),
        sa.Column("lease_owner", sa.String(16)),
        sa.Column("lease_until", sa.Double),
    )
    for name, (condition, columns) in _INDEXES.items():
        where = sa.text(condition)
        op.create_index(name, "merchant_copies", columns, sqlite_where=where, postgresql_where=where)
    for table in _EVENTS:
        op.add_column(table, sa.Column("is_copy", sa.Boolean, nullable=False, server_default=sa.false()))


def downgrade() -> None:
    for table in _EVENTS:
        op.execute(sa.delete(sa.table(table)).where(sa.column("is_copy", sa.Boolean)))
        op.drop_column(table, "is_copy")
    op.drop_table("merchant_copies")
