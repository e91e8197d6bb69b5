"""The senders of each relay account."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0008"
OLDEST_COMPATIBLE = "0001"

_VALUES = ("connections", "joined_at", "seen_at", "paused_since", "pause_reason", "next_try_at", "pause_advice")


def upgrade() -> None:
    if _is_postgresql():
        op.add_column("senders", sa.Column("account", sa.String(64), nullable=False, server_default=sa.text("''")))
        _set_primary_key("name", "account")
    else:
        _rebuild(sa.Column("account", sa.String(64), primary_key=True, server_default=sa.text("''")))


def downgrade() -> None:
    op.execute("DELETE FROM senders WHERE account != ''")
    if _is_postgresql():
        _set_primary_key("name")
        op.drop_column("senders", "account")
    else:
        _rebuild()


def _is_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"


def _set_primary_key(*columns: str) -> None:
    op.drop_constraint("senders_pkey", "senders")
    op.create_primary_key("senders_pkey", "senders", list(columns))


def _rebuild(*keys: sa.Column[str]) -> None:
    """Copy the rows into a new table, because SQLite cannot change a primary key."""
    op.rename_table("senders", "senders_before")
    op.create_table(
        "senders",
        sa.Column("name", sa.String(16), primary_key=True),
        *keys,
        sa.Column("connections", sa.Integer, nullable=False),
        sa.Column("joined_at", sa.Double, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.Column("paused_since", sa.Double),
        sa.Column("pause_reason", sa.Text),
        sa.Column("next_try_at", sa.Double),
        sa.Column("pause_advice", sa.Text),
    )
    columns = ", ".join(("name", *_VALUES))
    op.execute(f"INSERT INTO senders ({columns}) SELECT {columns} FROM senders_before")  # noqa: S608
    op.drop_table("senders_before")
