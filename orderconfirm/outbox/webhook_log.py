"""Webhooks of shop platforms that led to no mail, kept with the reason so that a person can see and replay them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Executable, Row, bindparam, delete, exists, func, or_, select, update

from orderconfirm.outbox.database import Database
from orderconfirm.outbox.sql import insert_into, now, of_few_mails
from orderconfirm.outbox.tables import outbox, webhooks
from orderconfirm.outbox.writer import run_jobs
from orderconfirm.platforms import Outcome
from orderconfirm.queries import KeptWebhook, NewWebhook

_DELETE_OF = delete(webhooks).where(webhooks.c.shop == bindparam("shop"), webhooks.c.order_id == bindparam("order_id"))
_DELETE_OLD = delete(webhooks).where(
    webhooks.c.id.in_(
        select(webhooks.c.id).where(webhooks.c.received_at < now - bindparam("age")).limit(bindparam("limit"))
    )
)
#: An order that has been accepted since then, or that was only not due, needs nobody's attention.
_is_settled = exists().where(
    outbox.c.shop == webhooks.c.shop,
    outbox.c.order_id == webhooks.c.order_id,
    or_(outbox.c.accepted_at >= webhooks.c.received_at, webhooks.c.outcome == Outcome.NOT_DUE),
)
_NEWEST = select(webhooks).where(~_is_settled).order_by(webhooks.c.received_at.desc(), webhooks.c.id.desc())

#: The newest order that a shop has placed, and the newest of its webhooks that came later.
_newest_order = (
    select(outbox.c.accepted_at)
    .where(outbox.c.shop == bindparam("shop"), outbox.c.revision == 0)
    .order_by(outbox.c.accepted_at.desc(), outbox.c.id.desc())
    .limit(1)
    .scalar_subquery()
)
_newest_webhook = (
    select(webhooks.c.received_at)
    .where(of_few_mails(webhooks.c.shop) == bindparam("shop"), webhooks.c.received_at > func.coalesce(_newest_order, 0))
    .order_by(webhooks.c.received_at.desc())
    .limit(1)
    .scalar_subquery()
)
_SINCE_LAST = select(now - func.coalesce(_newest_webhook, _newest_order))


class WebhookLog:
    """Keeps webhooks. Every method raises OutboxUnavailable when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        names = ("shop", "platform", "topic", "outcome", "reason", "order_id", "body")
        values: dict[str, Any] = {name: bindparam(name) for name in names} | {"received_at": now}
        # The newest webhook about an order replaces the others, because each carries the whole order.
        self._add = (
            insert_into(webhooks, database.dialect)
            .values(values)
            .on_conflict_do_update(index_elements=["shop", "order_id"], set_=values)
        )

    def keep(self, webhook: NewWebhook) -> None:
        """Store a webhook, in place of an earlier one about the same order."""
        values = asdict(webhook)

        def job(connection: Connection) -> None:
            connection.execute(self._add, values)

        self._database.write_order(run_jobs, job)

    def update(self, number: int, outcome: str, reason: str) -> None:
        """Change what became of a webhook."""
        self._execute(update(webhooks).where(webhooks.c.id == number).values(outcome=outcome, reason=reason))

    def delete(self, number: int) -> None:
        """Delete a webhook that has led to a mail."""
        self._execute(delete(webhooks).where(webhooks.c.id == number))

    def _execute(self, statement: Executable) -> None:
        def job(connection: Connection) -> None:
            connection.execute(statement)

        self._database.write(job)

    def newest(self, shop: str | None, outcomes: Collection[str], limit: int) -> list[KeptWebhook]:
        """Return the last webhooks of one shop, or of all. With `outcomes`, only those that ended in one of them."""
        statement = _NEWEST.limit(limit)
        if shop is not None:
            statement = statement.where(webhooks.c.shop == shop)
        if outcomes:
            statement = statement.where(webhooks.c.outcome.in_(outcomes))
        with self._database.reading() as connection:
            return [_kept(row) for row in connection.execute(statement)]

    def seconds_since_last(self, shop: str) -> float | None:
        """Return the time since the last webhook of a shop, or since its last order, whichever came later.

        None if there was neither. Repeated webhooks about a known order leave no trace.
        """
        with self._database.reading() as connection:
            seconds: float | None = connection.execute(_SINCE_LAST, {"shop": shop}).scalar_one()
        return seconds if seconds is None else max(0.0, seconds)

    def find(self, number: int) -> KeptWebhook | None:
        """Return the webhook with this number; None when there is none."""
        with self._database.reading() as connection:
            row = connection.execute(select(webhooks).where(webhooks.c.id == number)).first()
        return _kept(row) if row else None


def delete_of(connection: Connection, shop: str, order_id: str) -> None:
    """Delete the webhook about an order."""
    connection.execute(_DELETE_OF, {"shop": shop, "order_id": order_id})


def delete_old(connection: Connection, age: float, limit: int) -> None:
    """Delete up to `limit` webhooks that came more than `age` seconds ago."""
    connection.execute(_DELETE_OLD, {"age": age, "limit": limit})


def _kept(row: Row[Any]) -> KeptWebhook:
    return KeptWebhook(
        number=row.id,
        received_at=datetime.fromtimestamp(row.received_at, UTC),
        shop=row.shop,
        platform=row.platform,
        topic=row.topic,
        outcome=row.outcome,
        reason=row.reason,
        order_id=row.order_id,
        body=row.body,
    )
