"""The callbacks to shops, and the endpoints that are switched off."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
OLDEST_COMPATIBLE = "0001"

_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "callbacks",
        sa.Column("id", _Id, primary_key=True),
        sa.Column("webhook_id", sa.String(40), nullable=False),
        sa.Column("mail_id", _Id, sa.ForeignKey("outbox.id"), nullable=False, index=True),
        sa.Column("shop", sa.String(64), nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("mail_state", sa.String(16), nullable=False),
        sa.Column("delivery", sa.String(16)),
        sa.Column("cause", sa.String(16)),
        sa.Column("code", sa.Integer),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("tried_at", sa.Double),
        sa.Column("status", sa.Integer),
        sa.Column("reason", sa.Text),
        sa.Column("lease_token", sa.String(32)),
    )
    for name, condition, columns in (
        ("callbacks_waiting", "state = 'waiting'", ["shop", "due_at"]),
        ("callbacks_undelivered", "state IN ('failed', 'gone')", ["id"]),
    ):
        where = sa.text(condition)
        op.create_index(name, "callbacks", columns, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "gone_endpoints",
        sa.Column("url", sa.Text, primary_key=True),
        sa.Column("gone_at", sa.Double, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("gone_endpoints")
    op.drop_table("callbacks")
