"""What to do about the pause of a sender."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
OLDEST_COMPATIBLE = "0001"


def upgrade() -> None:
    op.add_column("senders", sa.Column("pause_advice", sa.Text))


def downgrade() -> None:
    op.drop_column("senders", "pause_advice")
