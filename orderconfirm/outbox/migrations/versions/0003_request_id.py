"""The request of each mail, and how PostgreSQL keeps the table of the mails compact."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
OLDEST_COMPATIBLE = "0001"

#: Each mail's row is rewritten twice, so pages leave room for that, and the index of due mails is soon full of dead
#: entries: by default PostgreSQL would clean it only when a fifth of all rows has changed.
_STORAGE = {"fillfactor": 85, "autovacuum_vacuum_scale_factor": 0.005, "autovacuum_vacuum_threshold": 20000}


def upgrade() -> None:
    op.add_column("outbox", sa.Column("request_id", sa.Text))
    if _is_postgresql():
        values = ", ".join(f"{name} = {value}" for name, value in _STORAGE.items())
        op.execute(f"ALTER TABLE outbox SET ({values})")


def downgrade() -> None:
    op.drop_column("outbox", "request_id")
    if _is_postgresql():
        op.execute(f"ALTER TABLE outbox RESET ({', '.join(_STORAGE)})")


def _is_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"
