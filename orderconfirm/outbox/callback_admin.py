"""Callbacks on request: those of an order, those that were not delivered, and their replay."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, func, null, or_, select, text, update

from orderconfirm.outbox.callback_queue import MAX_BATCH
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.sql import now
from orderconfirm.outbox.tables import IS_UNDELIVERED_CALLBACK, IS_WAITING_CALLBACK, callbacks, gone_endpoints, outbox
from orderconfirm.queries import Callback, CallbackState

_is_undelivered = text(IS_UNDELIVERED_CALLBACK.replace("state", "callbacks.state"))
_with_mail = select(callbacks, outbox.c.order_id, outbox.c.revision).join(outbox, outbox.c.id == callbacks.c.mail_id)
_of_order = and_(outbox.c.shop == bindparam("of_shop"), outbox.c.order_id == bindparam("of_order"))
_OF_ORDER = _with_mail.where(_of_order).order_by(callbacks.c.id)
_NEWEST = _with_mail.order_by(callbacks.c.id.desc())

_replay = (
    update(callbacks)
    .values(state=CallbackState.WAITING, due_at=now, attempts=0, lease_token=null())
    .returning(callbacks.c.id)
)
#: A waiting one that was tried before is due at once. The others are.
_REPLAY_ORDER = _replay.where(
    callbacks.c.mail_id.in_(select(outbox.c.id).where(_of_order)),
    or_(
        callbacks.c.state.in_((CallbackState.FAILED, CallbackState.GONE)),
        and_(callbacks.c.state == CallbackState.WAITING, callbacks.c.lease_token.is_(None), callbacks.c.attempts > 0),
    ),
)
_undelivered = (
    select(callbacks.c.id)
    .where(text(IS_UNDELIVERED_CALLBACK), callbacks.c.id > bindparam("after"))
    .order_by(callbacks.c.id)
    .limit(MAX_BATCH)
)
_REPLAY_ALL = _replay.where(callbacks.c.id.in_(_undelivered))
_REPLAY_SHOP = _replay.where(callbacks.c.id.in_(_undelivered.where(callbacks.c.shop == bindparam("of_shop"))))
_SWITCH_ON = delete(gone_endpoints).where(gone_endpoints.c.url.in_(bindparam("urls", expanding=True)))
_OLDEST_DUE = select(now - func.min(callbacks.c.due_at)).where(text(IS_WAITING_CALLBACK), callbacks.c.due_at <= now)
_COUNT = select(func.count()).select_from(callbacks).where(text(IS_UNDELIVERED_CALLBACK))


class CallbackAdmin:
    """Reads and replays callbacks. Every method raises OutboxUnavailable when the database fails."""

    def __init__(self, database: Database, has_callback: Callable[[str], bool]) -> None:
        """`has_callback` is whether a shop's events are posted to it."""
        self._database = database
        self._has_callback = has_callback

    def of_order(self, shop: str, order_id: str) -> list[Callback]:
        """Return the callbacks about an order's mails, in the order in which they were stored.

        There are none if the shop has no callback.
        """
        if not self._has_callback(shop):
            return []
        with self._database.reading() as connection:
            return [_callback(row) for row in connection.execute(_OF_ORDER, {"of_shop": shop, "of_order": order_id})]

    def newest(self, shop: str | None, states: Collection[CallbackState], limit: int) -> list[Callback]:
        """Return the last callbacks of one shop, or of all; by default those that failed or whose endpoint is gone."""
        statement = _NEWEST.where(callbacks.c.state.in_(states) if states else _is_undelivered).limit(limit)
        if shop is not None:
            statement = statement.where(callbacks.c.shop == shop)
        with self._database.reading() as connection:
            return [_callback(row) for row in connection.execute(statement)]

    def replay_order(self, shop: str, order_id: str, urls: Collection[str]) -> int:
        """Make an order's undelivered callbacks due now, with all their attempts. Returns how many.

        Endpoints at `urls` that are switched off are switched on.
        """

        def job(connection: Connection) -> int:
            connection.execute(_SWITCH_ON, {"urls": list(urls)}).close()
            return len(connection.execute(_REPLAY_ORDER, {"of_shop": shop, "of_order": order_id}).all())

        return self._database.write(job)

    def replay_all(self, shop: str | None, urls: Collection[str]) -> Iterator[int]:
        """Do the same for the callbacks of one shop, or of all, that failed or whose endpoint is gone.

        Yields the number of each batch.
        """
        statement, values = (_REPLAY_ALL, {}) if shop is None else (_REPLAY_SHOP, {"of_shop": shop})

        def job(after: int, connection: Connection) -> list[int]:
            if after == 0:
                connection.execute(_SWITCH_ON, {"urls": list(urls)}).close()
            return list(connection.execute(statement, {**values, "after": after}).scalars())

        last, count = 0, MAX_BATCH
        while count == MAX_BATCH:
            # Upwards by id: an endpoint that is still gone makes those that are due undelivered again meanwhile.
            ids = self._database.write(partial(job, last))
            last, count = max(ids, default=last), len(ids)
            yield count


def read_oldest_due(database: Database) -> float:
    """Return how many seconds the oldest due callback has waited. Raises OutboxUnavailable."""
    with database.reading() as connection:
        return connection.execute(_OLDEST_DUE).scalar_one() or 0.0


def read_undelivered(database: Database) -> tuple[int, set[str]]:
    """Return how many callbacks were not delivered, and the URLs that are switched off. Raises OutboxUnavailable."""
    with database.reading() as connection:
        return connection.execute(_COUNT).scalar_one(), set(connection.execute(select(gone_endpoints.c.url)).scalars())


def _callback(row: Row[Any]) -> Callback:
    is_waiting = row.state == CallbackState.WAITING
    return Callback(
        shop=row.shop,
        order_id=row.order_id,
        revision=row.revision,
        webhook_id=row.webhook_id,
        event=row.event,
        at=datetime.fromtimestamp(row.at, UTC),
        state=CallbackState(row.state),
        attempts=row.attempts,
        tried_at=datetime.fromtimestamp(row.tried_at, UTC) if row.tried_at else None,
        due_at=datetime.fromtimestamp(row.due_at, UTC) if is_waiting else None,
        status=row.status,
        reason=row.reason,
    )
