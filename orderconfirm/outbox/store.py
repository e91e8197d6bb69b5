"""All SQL: accept a mail, lease it, settle it, tell about it. Speaks SQLite and PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, null, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from orderconfirm.canonical import encode
from orderconfirm.errors import OutboxUnavailable
from orderconfirm.models import ClaimedMail, HistoryEntry, NewMail, OutboxEntry, State
from orderconfirm.outbox.liveness import Liveness
from orderconfirm.outbox.retry import Settlement
from orderconfirm.outbox.tables import (
    DUE_STATES,
    LEASED_STATES,
    create_tables,
    database_now,
    history,
    missing_columns,
    outbox,
    reading_engine,
    writing_engine,
)
from orderconfirm.outbox.writer import Writer


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the outbox holds for an order id: this order, or one accepted before (`is_new` False)."""

    entry: OutboxEntry
    fingerprint: str
    payload: str | None
    is_new: bool


@dataclass(frozen=True, slots=True)
class Report:
    """Where an attempt ended and what the relay said then."""

    stage: str | None = None
    code: int | None = None
    text: str | None = None
    seconds: float | None = None


class Store:
    """The outbox of one database. Every write is committed when its method returns.

    Every method raises OutboxUnavailable when the database does not do its part.
    """

    def __init__(self, url: str) -> None:
        self._writing = writing_engine(url)
        self._reading = reading_engine(url)
        self._writer = Writer(self._writing)
        self._insert = _insert_statement(self._writing.dialect.name)
        database = self._writing.url.database
        is_file = self._writing.dialect.name == "sqlite" and database
        self._liveness = Liveness(Path(f"{database}.alive")) if is_file else None

    def open(self) -> None:
        """Create missing tables and start to take writes. Call it after the fork."""
        try:
            create_tables(self._writing)
            missing = missing_columns(self._writing)
            if self._liveness:
                self._liveness.claim()
        except (DBAPIError, OSError) as failure:
            self.close()
            reason = getattr(failure, "orig", failure)
            where = f"{self._writing.dialect.name} {self._writing.url.database}"
            raise OutboxUnavailable(f"the database of DATABASE_URL ({where}) cannot be opened: {reason}") from failure
        if missing:
            self.close()
            raise OutboxUnavailable(f"the database of DATABASE_URL was made by another version: no {missing}")
        self._writer.start()

    def close(self) -> None:
        self._writer.stop()
        if self._liveness:
            self._liveness.release()
        self._reading.dispose()
        self._writing.dispose()

    def add(self, mail: NewMail) -> Receipt:
        """Take an order in, due at once, unless its (shop, order_id) is known: then nothing changes."""

        def job(connection: Connection) -> Receipt:
            row = connection.execute(
                self._insert,
                {
                    "shop": mail.shop,
                    "order_id": mail.order_id,
                    "fingerprint": mail.fingerprint,
                    "message_id": mail.message_id,
                    "recipient": mail.recipient,
                    "payload": encode({"sent": mail.sent, "defaults": mail.defaults}),
                    "send_before": mail.send_before.timestamp() if mail.send_before else None,
                },
            ).first()
            is_new = row is not None
            if row is None:
                row = connection.execute(_BY_ORDER, {"shop": mail.shop, "order_id": mail.order_id}).one()
            return Receipt(_entry(row), row.fingerprint, row.payload, is_new)

        return self._writer.do(job)

    def find(self, shop: str, order_id: str) -> OutboxEntry | None:
        """The order's newest mail with its history, or None."""
        with self._reader() as connection:
            row = connection.execute(_BY_ORDER, {"shop": shop, "order_id": order_id}).first()
            if row is None:
                return None
            events = connection.execute(_HISTORY, {"mail_id": row.id}).all()
        return _entry(row, events)

    def claim(self, seats: int, lease_seconds: float) -> list[ClaimedMail]:
        """Lease at most `seats` due mails, longest due first. No other process gets them before the lease ends."""
        owner = self._liveness.owner if self._liveness else None
        values = {"token": secrets.token_hex(16), "owner": owner, "seats": seats, "lease": lease_seconds}
        rows = self._writer.do(lambda connection: connection.execute(_CLAIM, values).all())
        return [_claimed(row) for row in rows]

    def settle(self, mail: ClaimedMail, settlement: Settlement, report: Report | None = None) -> bool:
        """Write down how an attempt ended. False: the lease was lost meanwhile, and nothing was changed."""
        report = report or Report()
        values = {
            "mail": mail.id,
            "token": mail.lease_token,
            "to_state": settlement.state,
            "why": settlement.reason,
            "delay": settlement.delay,
            "spent": int(settlement.spends_attempt),
            "copies": int(settlement.may_be_copy),
        }
        event = {
            "mail_id": mail.id,
            "event": settlement.event,
            "state": settlement.state,
            "stage": report.stage,
            "code": report.code,
            "text": report.text or settlement.reason,
            "seconds": report.seconds,
        }

        def job(connection: Connection) -> bool:
            if connection.execute(_SETTLE, values).rowcount != 1:
                return False
            connection.execute(_ADD_HISTORY, event)
            return True

        return self._writer.do(job)

    def reclaim_abandoned(self) -> int:
        """Put mails back whose process died while it was sending: it is seen to be gone, or their lease has run out.

        Returns how many.
        """

        def job(connection: Connection) -> int:
            owners = [row.lease_owner for row in connection.execute(_OWNERS)] if self._liveness else []
            dead = [owner for owner in owners if self._liveness and self._liveness.is_dead(owner)]
            rows = connection.execute(_RECLAIM, {"dead": dead}).all()
            for row in rows:
                text = "the process that was sending it ended without a word"
                event = {"mail_id": row.id, "event": "interrupted", "state": State.QUEUED, "text": text}
                connection.execute(_ADD_HISTORY, {"stage": None, "code": None, "seconds": None, **event})
            return len(rows)

        return self._writer.do(job)

    def seconds_to_next(self) -> float | None:
        """Seconds until the next mail is due or the next lease ends; None when nothing waits."""
        with self._reader() as connection:
            waits = [wait for wait in connection.execute(_NEXT).one() if wait is not None]
        return max(0.0, min(waits)) if waits else None

    @contextmanager
    def _reader(self) -> Iterator[Connection]:
        """A reading connection for one `with` block, its errors translated."""
        try:
            with self._reading.connect() as connection:
                yield connection
        except DBAPIError as failure:
            raise OutboxUnavailable(str(failure.orig)) from failure


_now = database_now()


def _insert_statement(dialect: str) -> Any:
    make = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return (
        make(outbox)
        .values(
            shop=bindparam("shop"),
            order_id=bindparam("order_id"),
            revision=0,
            fingerprint=bindparam("fingerprint"),
            message_id=bindparam("message_id"),
            recipient=bindparam("recipient"),
            payload=bindparam("payload"),
            accepted_at=_now,
            send_before=bindparam("send_before"),
            state=State.QUEUED,
            changed_at=_now,
            due_at=_now,
        )
        .on_conflict_do_nothing(index_elements=["shop", "order_id", "revision"])
        .returning(*outbox.c)
    )


_BY_ORDER = (
    select(outbox)
    .where(outbox.c.shop == bindparam("shop"), outbox.c.order_id == bindparam("order_id"))
    .order_by(outbox.c.revision.desc())
    .limit(1)
)

_HISTORY = select(history).where(history.c.mail_id == bindparam("mail_id")).order_by(history.c.id)

# SKIP LOCKED keeps processes on PostgreSQL apart; on SQLite the write lock does, and the clause is not printed.
_due = (
    select(outbox.c.id)
    .where(text(DUE_STATES), outbox.c.due_at <= _now)
    .order_by(outbox.c.due_at, outbox.c.id)
    .limit(bindparam("seats"))
    .with_for_update(skip_locked=True)
)
_CLAIM = (
    update(outbox)
    .where(outbox.c.id.in_(_due), text(DUE_STATES))
    .values(
        state=State.SENDING,
        changed_at=_now,
        lease_token=bindparam("token"),
        lease_owner=bindparam("owner"),
        lease_until=_now + bindparam("lease"),
    )
    .returning(*outbox.c)
)

_SETTLE = (
    update(outbox)
    .where(outbox.c.id == bindparam("mail"), outbox.c.lease_token == bindparam("token"), text(LEASED_STATES))
    .values(
        state=bindparam("to_state"),
        reason=bindparam("why"),
        changed_at=_now,
        due_at=_now + bindparam("delay"),
        attempts=outbox.c.attempts + bindparam("spent"),
        possible_copies=outbox.c.possible_copies + bindparam("copies"),
        lease_token=null(),
        lease_owner=null(),
        lease_until=null(),
    )
)

_OWNERS = select(outbox.c.lease_owner).where(text(LEASED_STATES), outbox.c.lease_owner.is_not(None)).distinct()

_RECLAIM = (
    update(outbox)
    .where(
        text(LEASED_STATES),
        or_(outbox.c.lease_until < _now, outbox.c.lease_owner.in_(bindparam("dead", expanding=True))),
    )
    .values(
        state=State.QUEUED,
        changed_at=_now,
        due_at=_now,
        attempts=outbox.c.attempts + 1,
        possible_copies=outbox.c.possible_copies + 1,
        lease_token=null(),
        lease_owner=null(),
        lease_until=null(),
    )
    .returning(outbox.c.id)
)

_NEXT = select(
    select(func.min(outbox.c.due_at) - _now).where(text(DUE_STATES)).scalar_subquery(),
    select(func.min(outbox.c.lease_until) - _now).where(text(LEASED_STATES)).scalar_subquery(),
)

_ADD_HISTORY = insert(history).values(
    mail_id=bindparam("mail_id"),
    at=_now,
    event=bindparam("event"),
    state=bindparam("state"),
    stage=bindparam("stage"),
    code=bindparam("code"),
    text=bindparam("text"),
    seconds=bindparam("seconds"),
)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _entry(row: Row[Any], events: Any = ()) -> OutboxEntry:
    return OutboxEntry(
        id=row.id,
        shop=row.shop,
        order_id=row.order_id,
        message_id=row.message_id,
        state=State(row.state),
        accepted_at=_moment(row.accepted_at),
        changed_at=_moment(row.changed_at),
        due_at=_moment(row.due_at),
        attempts=row.attempts,
        possible_copies=row.possible_copies,
        reason=row.reason,
        history=tuple(
            HistoryEntry(_moment(e.at), e.event, State(e.state), e.stage, e.code, e.text, e.seconds) for e in events
        ),
    )


def _claimed(row: Row[Any]) -> ClaimedMail:
    return ClaimedMail(
        id=row.id,
        shop=row.shop,
        order_id=row.order_id,
        message_id=row.message_id,
        payload=row.payload,
        accepted_at=_moment(row.accepted_at),
        claimed_at=_moment(row.changed_at),
        send_before=_moment(row.send_before) if row.send_before else None,
        attempts=row.attempts,
        lease_token=row.lease_token,
    )
