"""The index by which mails are listed by their delivery."""

from __future__ import annotations

from orderconfirm.outbox.migrations.indexes import create_index, drop_index

revision = "0005"
down_revision = "0004"
OLDEST_COMPATIBLE = "0001"


def upgrade() -> None:
    columns = ["shop", "delivery", "state", "accepted_at", "id"]
    create_index("outbox_delivery", "outbox", columns, condition="delivery IS NOT NULL")


def downgrade() -> None:
    drop_index("outbox_delivery", "outbox")
