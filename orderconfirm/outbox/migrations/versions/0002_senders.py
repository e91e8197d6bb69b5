"""The table of the processes that send."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
OLDEST_COMPATIBLE = "0001"


def upgrade() -> None:
    op.create_table(
        "senders",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("connections", sa.Integer, nullable=False),
        sa.Column("joined_at", sa.Double, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.Column("paused_since", sa.Double),
        sa.Column("pause_reason", sa.Text),
        sa.Column("next_try_at", sa.Double),
        if_not_exists=True,  # the last version before there were migrations created it at its start
    )


def downgrade() -> None:
    op.drop_table("senders")
