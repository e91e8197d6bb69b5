"""The mail because of which an address is suppressed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
OLDEST_COMPATIBLE = "0001"


def upgrade() -> None:
    op.add_column("suppressions", sa.Column("mail_id", sa.BigInteger))


def downgrade() -> None:
    op.drop_column("suppressions", "mail_id")
