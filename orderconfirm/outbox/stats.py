"""The numbers of mails, for health checks and metrics."""

from __future__ import annotations

from sqlalchemy import func, null, select, text, union_all

from orderconfirm.models import QueueStats, State
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.sql import has_possible_copies, is_due, is_leased, now
from orderconfirm.outbox.tables import IS_ATTENTION_STATE, outbox

# One SELECT for each group of states, so that each uses its own small index.
_BY_STATE = union_all(
    select(outbox.c.state, func.count().label("mails"), func.max(now - outbox.c.due_at).label("overdue"))
    .where(*is_due)
    .group_by(outbox.c.state),
    select(outbox.c.state, func.count(), null()).where(*is_leased).group_by(outbox.c.state),
    select(outbox.c.state, func.count(), null()).where(text(IS_ATTENTION_STATE)).group_by(outbox.c.state),
)
_COPIES = select(func.coalesce(func.sum(outbox.c.possible_copies), 0)).where(has_possible_copies)


def read_stats(database: Database) -> QueueStats:
    """Count the mails that wait, are being sent, or need a person. Raises OutboxUnavailable."""
    with database.reading() as connection:
        rows = connection.execute(_BY_STATE).all()
        copies = connection.execute(_COPIES).scalar_one()
    overdue = [row.overdue for row in rows if row.state in State.DUE]
    return QueueStats({State(row.state): row.mails for row in rows}, max([0.0, *overdue]), copies)
