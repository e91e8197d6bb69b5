"""The senders of each relay account."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0008"
OLDEST_COMPATIBLE = "0001"


def upgrade() -> None:
    account = sa.Column("account", sa.String(64), nullable=False, server_default="")
    _set_primary_key("name", "account", new_column=account)


def downgrade() -> None:
    op.execute("DELETE FROM senders WHERE account != ''")
    _set_primary_key("name")
    op.drop_column("senders", "account")


def _set_primary_key(*columns: str, new_column: sa.Column[str] | None = None) -> None:
    with op.batch_alter_table("senders") as table:
        if new_column is not None:
            table.add_column(new_column)
        if op.get_context().dialect.name == "postgresql":
            table.drop_constraint("senders_pkey", type_="primary")
        table.create_primary_key("senders_pkey", list(columns))
