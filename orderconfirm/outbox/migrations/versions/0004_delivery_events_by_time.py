"""The index that returns a mail's delivery events by the time of their arrival."""

from __future__ import annotations

from orderconfirm.outbox.migrations.indexes import create_index, drop_index

revision = "0004"
down_revision = "0003"
#: The new index serves the queries of the earlier versions too.
OLDEST_COMPATIBLE = "0001"


def upgrade() -> None:
    create_index("delivery_events_mail", "delivery_events", ["mail_id", "received_at"])
    drop_index("ix_delivery_events_mail_id", "delivery_events")


def downgrade() -> None:
    create_index("ix_delivery_events_mail_id", "delivery_events", ["mail_id"])
    drop_index("delivery_events_mail", "delivery_events")
