"""The queue of callbacks: claim and settle those that are due, and switch endpoints off."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, null, or_, select, text, update

from orderconfirm.outbox.database import Database
from orderconfirm.outbox.rows import stored_text
from orderconfirm.outbox.sql import insert_into, now
from orderconfirm.outbox.tables import IS_WAITING_CALLBACK, callbacks, gone_endpoints, outbox
from orderconfirm.queries import CallbackState

#: Maximum number of callbacks changed in one transaction: new orders wait for it.
MAX_BATCH = 500

_is_waiting = text(IS_WAITING_CALLBACK)
#: A lease has ended at the due time, so the callbacks of a dead process are due again by themselves.
_is_free = or_(callbacks.c.lease_token.is_(None), callbacks.c.due_at <= now)
_of_shops = callbacks.c.shop.in_(bindparam("shops", expanding=True))

_WAITING = (
    select(callbacks.c.shop, (func.min(callbacks.c.due_at) - now).label("due_in"))
    .where(_is_waiting)
    .group_by(callbacks.c.shop)
)
_GONE = select(gone_endpoints.c.url)
# A CTE and SKIP LOCKED, as in `leases`.
_due = (
    select(callbacks.c.id)
    .where(_is_waiting, _of_shops, callbacks.c.due_at <= now)
    .order_by(callbacks.c.due_at, callbacks.c.id)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
    .cte("due")
)
_CLAIM = (
    update(callbacks)
    .where(callbacks.c.id.in_(select(_due.c.id)))
    .values(lease_token=bindparam("token"), due_at=now + bindparam("lease"))
    .returning(callbacks.c.id)
)
_CLAIMED = (
    select(callbacks, outbox.c.order_id, outbox.c.revision, outbox.c.message_id, outbox.c.accepted_at)
    .join(outbox, outbox.c.id == callbacks.c.mail_id)
    .where(callbacks.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(callbacks.c.id)
)
_SETTLE = (
    update(callbacks)
    .where(callbacks.c.id == bindparam("callback"), callbacks.c.lease_token == bindparam("token"), _is_waiting)
    .values(
        state=bindparam("to_state"),
        due_at=now + bindparam("delay"),
        attempts=callbacks.c.attempts + 1,
        tried_at=now,
        status=bindparam("to_status"),
        reason=bindparam("why"),
        lease_token=null(),
    )
)
_SWITCH_OFF = (
    update(callbacks)
    .where(callbacks.c.id.in_(select(callbacks.c.id).where(_is_waiting, _of_shops, _is_free).limit(bindparam("limit"))))
    .values(state=CallbackState.GONE, reason="the endpoint is switched off: it responded with 410", lease_token=null())
)


@dataclass(frozen=True, slots=True)
class ClaimedCallback:
    """A callback leased to this process, and what it reports. `attempts` does not count the current one."""

    id: int
    token: str
    webhook_id: str
    shop: str
    order_id: str
    revision: int
    message_id: str
    accepted_at: datetime
    event: str
    at: datetime
    mail_state: str
    delivery: str | None
    cause: str | None
    code: int | None
    attempts: int


@dataclass(frozen=True, slots=True)
class FinishedPost:
    """The outcome of an attempt. A callback that still waits is due again in `delay` seconds.

    `gone_url` is the URL that is to be switched off.
    """

    callback: ClaimedCallback
    state: CallbackState
    delay: float
    status: int | None
    reason: str | None
    gone_url: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A request for up to `limit` due callbacks of some shops."""

    shops: Collection[str]
    limit: int


class CallbackQueue:
    """The callbacks as a queue. Every method raises OutboxUnavailable when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._add_gone = (
            insert_into(gone_endpoints, database.dialect)
            .values(url=bindparam("url"), gone_at=now)
            .on_conflict_do_nothing(index_elements=["url"])
        )

    def waiting(self) -> tuple[dict[str, float], set[str]]:
        """Return the shops whose callbacks wait, with the seconds until their first is due, and the URLs switched off.

        The seconds are negative when it is due already.
        """
        with self._database.reading() as connection:
            seconds = {row.shop: row.due_in for row in connection.execute(_WAITING)}
            return seconds, set(connection.execute(_GONE).scalars()) if seconds else set()

    def exchange(
        self, finished: Sequence[FinishedPost], claims: Sequence[Claim], lease_seconds: float
    ) -> list[ClaimedCallback]:
        """Record finished attempts, and lease due callbacks for `lease_seconds`, the longest due first.

        An attempt whose lease was lost changes nothing.
        """
        token = secrets.token_hex(16)

        def job(connection: Connection) -> Sequence[Row[Any]]:
            for each in finished:
                connection.execute(_SETTLE, _values(each)).close()
                if each.gone_url:
                    connection.execute(self._add_gone, {"url": each.gone_url}).close()
            ids: list[int] = []
            for claim in claims:
                values = {"shops": list(claim.shops), "limit": claim.limit, "token": token, "lease": lease_seconds}
                ids += connection.execute(_CLAIM, values).scalars()
            return connection.execute(_CLAIMED, {"ids": ids}).all() if ids else []

        return [_claimed(row) for row in self._database.write(job)]

    def switch_off(self, shops: Collection[str]) -> int:
        """Give up waiting callbacks of shops whose endpoint is gone. Returns how many, MAX_BATCH at most."""
        values = {"shops": list(shops), "limit": MAX_BATCH}
        count: int = self._database.write(lambda connection: connection.execute(_SWITCH_OFF, values).rowcount)
        return count


def _values(finished: FinishedPost) -> dict[str, Any]:
    return {
        "callback": finished.callback.id,
        "token": finished.callback.token,
        "to_state": finished.state,
        "delay": finished.delay,
        "to_status": finished.status,
        "why": stored_text(finished.reason),
    }


def _claimed(row: Row[Any]) -> ClaimedCallback:
    return ClaimedCallback(
        id=row.id,
        token=row.lease_token,
        webhook_id=row.webhook_id,
        shop=row.shop,
        order_id=row.order_id,
        revision=row.revision,
        message_id=row.message_id,
        accepted_at=datetime.fromtimestamp(row.accepted_at, UTC),
        event=row.event,
        at=datetime.fromtimestamp(row.at, UTC),
        mail_state=row.mail_state,
        delivery=row.delivery,
        cause=row.cause,
        code=row.code,
        attempts=row.attempts,
    )
