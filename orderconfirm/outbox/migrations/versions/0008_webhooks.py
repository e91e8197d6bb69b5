"""The webhooks of shop platforms that led to no mail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
OLDEST_COMPATIBLE = "0001"

_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", _Id, primary_key=True),
        sa.Column("shop", sa.String(64), nullable=False),
        sa.Column("platform", sa.String(16), nullable=False),
        sa.Column("topic", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("order_id", sa.String(128)),
        sa.Column("received_at", sa.Double, nullable=False, index=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint("shop", "order_id", name="webhooks_order"),
    )


def downgrade() -> None:
    op.drop_table("webhooks")
