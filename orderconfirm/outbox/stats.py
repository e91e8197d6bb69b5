"""The numbers of mails, for health checks, metrics and pages."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, case, func, null, select, text, union_all

from orderconfirm.models import State
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.sql import has_possible_copies, is_due, is_leased, now, of_few_mails
from orderconfirm.outbox.tables import IS_ATTENTION_STATE, IS_FINISHED_WITH_CONTENT, outbox
from orderconfirm.queries import QueueStats

#: Minutes of which the sent mails are counted.
MINUTES = 60
#: Maximum number of finished mails that are read to count them: reading them takes some ten milliseconds.
MAX_COUNTED = 20_000

_of_shop = of_few_mails(outbox.c.shop) == bindparam("shop")


#: Since when a mail should have been sent. A probe of a paused relay moves its mail's due time, so that the probes take
#: turns: such a mail has a reason, but no attempt that counted, and has waited since its order was accepted.
_was_probe = and_(outbox.c.reason.is_not(None), outbox.c.tried_at.is_(None))
_waited = now - case((_was_probe, outbox.c.accepted_at), else_=outbox.c.due_at)


def _by_state(*conditions: ColumnElement[bool]) -> Any:
    """Return one SELECT for each group of states, so that each uses its own small index."""
    waited_when_due = func.max(case((outbox.c.due_at <= now, _waited)))
    return union_all(
        select(outbox.c.state, func.count().label("mails"), waited_when_due.label("waited"))
        .where(*is_due, *conditions)
        .group_by(outbox.c.state),
        select(outbox.c.state, func.count(), func.max(_waited)).where(*is_leased, *conditions).group_by(outbox.c.state),
        select(outbox.c.state, func.count(), null())
        .where(text(IS_ATTENTION_STATE), *conditions)
        .group_by(outbox.c.state),
    )


def _copies(*conditions: ColumnElement[bool]) -> Select[Any]:
    return select(func.coalesce(func.sum(outbox.c.possible_copies), 0)).where(has_possible_copies, *conditions)


_OF_ALL = _by_state(), _copies()
_OF_SHOP = _by_state(_of_shop), _copies(_of_shop)

_last_finished = (
    select(outbox.c.shop, outbox.c.state, (now - outbox.c.changed_at).label("age"))
    .where(text(IS_FINISHED_WITH_CONTENT), outbox.c.changed_at > now - MINUTES * 60)
    .order_by(outbox.c.changed_at.desc())
    .limit(bindparam("limit"))
    .subquery()
)
_LAST_FINISHED = select(_last_finished)


def read_stats(database: Database, shop: str | None = None) -> QueueStats:
    """Count the mails of a shop, or of all, that wait, are being sent, or need a person. Raises OutboxUnavailable."""
    by_state, copies = _OF_ALL if shop is None else _OF_SHOP
    values = {} if shop is None else {"shop": shop}
    with database.reading() as connection:
        rows = connection.execute(by_state, values).all()
        possible_copies = connection.execute(copies, values).scalar_one()
    waited = [row.waited for row in rows if row.waited is not None]
    return QueueStats({State(row.state): row.mails for row in rows}, max([0.0, *waited]), possible_copies)


def read_sent_per_minute(
    database: Database, shop: str | None = None, max_counted: int = MAX_COUNTED
) -> tuple[int, ...]:
    """Return how many mails of a shop, or of all, were sent in each of the last MINUTES, the newest minute last.

    If more than `max_counted` mails ended in this time, the result has only the last minutes. Raises OutboxUnavailable.
    """
    with database.reading() as connection:
        rows = connection.execute(_LAST_FINISHED, {"limit": max_counted}).all()
    sent = Counter(int(max(0.0, row.age) // 60) for row in rows if row.state == State.SENT and shop in (None, row.shop))
    is_complete = len(rows) < max_counted
    minutes = MINUTES if is_complete else max(1, int(rows[-1].age // 60))
    return tuple(sent[minute] for minute in reversed(range(minutes)))
