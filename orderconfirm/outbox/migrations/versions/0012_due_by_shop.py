"""The index by which each shop's due mails are claimed."""

from __future__ import annotations

from orderconfirm.outbox.migrations.indexes import create_index, drop_index

revision = "0012"
down_revision = "0011"
OLDEST_COMPATIBLE = "0001"

_IS_DUE = "state IN ('queued', 'unknown')"


def upgrade() -> None:
    create_index("outbox_due_by_shop", "outbox", ["shop", "due_at"], condition=_IS_DUE)
    drop_index("outbox_due", "outbox")


def downgrade() -> None:
    create_index("outbox_due", "outbox", ["due_at"], condition=_IS_DUE)
    drop_index("outbox_due_by_shop", "outbox")
