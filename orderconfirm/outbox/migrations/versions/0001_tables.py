"""The tables of the versions before there were migrations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
OLDEST_COMPATIBLE = "0001"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _create_outbox()
    _create_details_of_mails()
    op.create_table(
        "idempotency_keys",
        sa.Column("shop", sa.String(64), primary_key=True),
        sa.Column("idempotency_key", sa.String(255), primary_key=True),
        sa.Column("order_id", sa.String(128), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
    )
    op.create_index("idempotency_keys_order", "idempotency_keys", ["shop", "order_id"])
    op.create_table(
        "suppressions",
        sa.Column("shop", sa.String(64), primary_key=True),
        sa.Column("address_hash", sa.String(64), primary_key=True),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("released_at", sa.Double),
    )
    op.create_table(
        "clock_jumps",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("noticed_at", sa.Double, nullable=False),
        sa.Column("trusted_from", sa.Double, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
    )


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("shop", sa.String(64), nullable=False),
        sa.Column("order_id", sa.String(128), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False, server_default="0"),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("message_id", sa.String(255), nullable=False),
        sa.Column("recipient", sa.String(254)),
        sa.Column("address_hash", sa.String(64)),
        sa.Column("payload", sa.Text),
        sa.Column("accepted_at", sa.Double, nullable=False),
        sa.Column("tried_at", sa.Double),
        sa.Column("send_before", sa.Double),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("possible_copies", sa.Integer, nullable=False, server_default="0"),
        sa.Column("reason", sa.Text),
        sa.Column("delivery", sa.String(16)),
        sa.Column("delivery_at", sa.Double),
        sa.Column("erased_at", sa.Double),
        sa.Column("lease_token", sa.String(32)),
        sa.Column("lease_owner", sa.String(16)),
        sa.Column("lease_until", sa.Double),
        sa.UniqueConstraint("shop", "order_id", "revision", name="outbox_order"),
    )
    op.create_index("outbox_newest", "outbox", ["shop", "accepted_at", "id"])
    op.create_index("outbox_state", "outbox", ["shop", "state", "accepted_at", "id"])
    op.create_index("outbox_recipient", "outbox", ["shop", "recipient", "accepted_at", "id"])
    _create_partial_index("outbox_due", "due_at", "state IN ('queued', 'unknown')")
    _create_partial_index("outbox_leased", "lease_until", "state IN ('sending')")
    _create_partial_index("outbox_attention", "state", "state IN ('failed', 'held')")
    _create_partial_index("outbox_copies", "possible_copies", "possible_copies > 0")
    _create_partial_index(
        "outbox_kept",
        "changed_at",
        "state IN ('sent', 'failed', 'cancelled', 'expired') AND payload IS NOT NULL",
    )


def _create_partial_index(name: str, column: str, condition: str) -> None:
    op.create_index(name, "outbox", [column], sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))


def _create_details_of_mails() -> None:
    op.create_table(
        "history",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("mail_id", _ID, sa.ForeignKey("outbox.id"), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("stage", sa.String(16)),
        sa.Column("code", sa.Integer),
        sa.Column("text", sa.Text),
        sa.Column("seconds", sa.Double),
    )
    op.create_index("ix_history_mail_id", "history", ["mail_id"])
    op.create_table(
        "delivery_events",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("event_id", sa.String(128), nullable=False, unique=True),
        sa.Column("mail_id", _ID, sa.ForeignKey("outbox.id")),
        sa.Column("received_at", sa.Double, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("code", sa.Integer),
        sa.Column("text", sa.Text),
        sa.Column("raw", sa.Text),
    )
    op.create_index("ix_delivery_events_mail_id", "delivery_events", ["mail_id"])
