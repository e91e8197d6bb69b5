"""The queue of mails: add an order's mail, claim what is due, settle it, reclaim what was abandoned."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Boolean, Connection, and_, bindparam, case, func, or_, select, update

from orderconfirm.errors import OutboxFull, OutboxUnavailable, UnconfirmedWrite
from orderconfirm.logs import mask_addresses, printable
from orderconfirm.models import ClaimedMail, Event, NewMail, OutboxEntry, State
from orderconfirm.outbox import history
from orderconfirm.outbox.capacity import Capacity
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.idempotency import IdempotencyKeys, KeyUse
from orderconfirm.outbox.retry import Outcome
from orderconfirm.outbox.rows import new_values, to_claimed, to_entry
from orderconfirm.outbox.sql import NO_LEASE, REVISIONS, insert_mail, is_due_state, is_leased_state, now
from orderconfirm.outbox.suppressions import hold_if_suppressed
from orderconfirm.outbox.tables import outbox

log = logging.getLogger(__name__)

#: Characters stored of a relay's words.
MAX_TEXT_LENGTH = 1000
_ABANDONED = "the process that was sending it ended without a word"

# SKIP LOCKED keeps processes on PostgreSQL apart. On SQLite the write lock does, and SQLAlchemy leaves the clause out.
_due = (
    select(outbox.c.id)
    .where(is_due_state, outbox.c.due_at <= now)
    .order_by(outbox.c.due_at, outbox.c.id)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_CLAIM = (
    update(outbox)
    .where(outbox.c.id.in_(_due), is_due_state)
    .values(
        state=State.SENDING,
        changed_at=now,
        lease_token=bindparam("token"),
        lease_owner=bindparam("owner"),
        lease_until=now + bindparam("lease"),
    )
    .returning(*outbox.c)
)
_SETTLE = (
    update(outbox)
    .where(outbox.c.id == bindparam("mail"), outbox.c.lease_token == bindparam("token"), is_leased_state)
    .values(
        state=bindparam("to_state"),
        reason=bindparam("why"),
        changed_at=now,
        due_at=now + bindparam("delay"),
        tried_at=case((bindparam("spent") > 0, func.coalesce(outbox.c.tried_at, now)), else_=outbox.c.tried_at),
        attempts=outbox.c.attempts + bindparam("spent"),
        possible_copies=outbox.c.possible_copies + bindparam("copies"),
        **NO_LEASE,
    )
)
#: The mails of unconfirmed claims, which nobody has begun to send.
_RELEASE = (
    update(outbox)
    .where(outbox.c.lease_token.in_(bindparam("tokens", expanding=True)), is_leased_state)
    .values(state=State.QUEUED, changed_at=now, due_at=now, **NO_LEASE)
    .returning(outbox.c.id)
)
_OWNERS = select(outbox.c.lease_owner).where(is_leased_state).distinct()

#: The leases of `dead` owners, and those that have run out, unless their owner is known to be `living` or the mail is
#: being sent by this process (`tokens`): a jump of the clock must not have a mail sent twice.
_RECLAIM = (
    update(outbox)
    .where(
        is_leased_state,
        or_(
            outbox.c.lease_owner.in_(bindparam("dead", expanding=True)),
            and_(
                bindparam("trusts_clock", type_=Boolean()),
                outbox.c.lease_until < now,
                outbox.c.lease_owner.not_in(bindparam("living", expanding=True)),
                outbox.c.lease_token.not_in(bindparam("tokens", expanding=True)),
            ),
        ),
    )
    .values(
        state=bindparam("to_state"),
        reason=bindparam("why"),
        changed_at=now,
        due_at=now,
        attempts=outbox.c.attempts + 1,
        possible_copies=outbox.c.possible_copies + 1,
        **NO_LEASE,
    )
    .returning(outbox.c.id)
)
_NEXT = select(select(func.min(outbox.c.due_at)).where(is_due_state).scalar_subquery() - now)


@dataclass(frozen=True, slots=True)
class AddResult:
    """What the outbox holds for an order id: this order, or one accepted before (`is_new` False).

    `entry` is the order's newest mail; `fingerprint` and `payload` are the order as it was accepted.
    """

    entry: OutboxEntry
    fingerprint: str
    payload: str | None
    is_new: bool


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """Where an attempt ended and what the relay answered. `seconds` is how long it took."""

    stage: str | None = None
    code: int | None = None
    text: str | None = None
    seconds: float | None = None


class OutboxQueue:
    """The outbox as a queue. Every write is committed when its method returns.

    Every method raises OutboxUnavailable when the database does not do its part.
    """

    def __init__(self, database: Database, max_pending: int) -> None:
        """`max_pending` is how many mails may wait; further ones are refused with OutboxFull."""
        self._database = database
        self._insert = insert_mail(database.dialect)
        self._keys = IdempotencyKeys(database.dialect)
        self._capacity = Capacity(max_pending)
        #: Leases that this process may hold without knowing for which mails.
        self._unconfirmed_tokens: set[str] = set()

    @property
    def refusal(self) -> str | None:
        """Why this process refuses orders, or None."""
        return self._capacity.refusal

    def add(self, mail: NewMail) -> AddResult:
        """Add an order's mail, due at once or held. When its (shop, order_id) is known, nothing changes.

        The idempotency key is stored unless the known order is another one. Raises KeyConflict when another request
        used that key, OutboxFull when too many mails wait.
        """
        values = new_values(mail)
        known = {"shop": mail.shop, "order_id": mail.order_id}
        key = mail.idempotency_key
        use = KeyUse(mail.shop, key, mail.order_id, mail.fingerprint) if key else None

        def job(connection: Connection) -> AddResult | None:
            row = connection.execute(self._insert, values).first() if self._capacity.take(connection) else None
            if row is not None and row.state == State.HELD:
                history.record(connection, [row.id], Event.HELD, State.HELD, row.reason)
            rows = [row] if row is not None else connection.execute(REVISIONS, known).all()
            if not rows:
                return None
            first = rows[0]
            if use and first.fingerprint == mail.fingerprint and first.payload is not None:
                self._keys.take(connection, use)
            return AddResult(to_entry(rows[-1]), first.fingerprint, first.payload, is_new=row is not None)

        try:
            result = self._database.write_durably(job)
            if result is None:
                raise OutboxFull(f"{self._capacity.max_pending} mails wait already (OUTBOX_MAX_PENDING)")
        except OutboxUnavailable as exc:
            self._capacity.note_refusal(str(exc))
            raise
        if result.is_new:
            self._capacity.note_acceptance()
        return result

    def claim(self, limit: int, lease_seconds: float) -> list[ClaimedMail]:
        """Lease up to `limit` due mails, longest due first. No other process gets them before the lease ends.

        A row that cannot be read fails alone. After an UnconfirmedWrite there may be leased mails that nobody knows of;
        `reclaim_abandoned` releases them.
        """
        token = secrets.token_hex(16)
        values = {
            "token": token,
            "owner": self._database.process_locks.owner,
            "limit": limit,
            "lease": lease_seconds,
        }
        try:
            rows = self._database.write(lambda connection: connection.execute(_CLAIM, values).all())
        except UnconfirmedWrite:
            self._unconfirmed_tokens.add(token)
            raise
        claimed = []
        for row in rows:
            try:
                claimed.append(to_claimed(row))
            except (TypeError, ValueError, OverflowError, OSError) as exc:
                log.error("a row of the outbox cannot be read", extra={"row": row.id, "reason": str(exc)})
                damaged = Outcome(State.FAILED, Event.FAILED, f"the stored order cannot be read: {exc}")
                with suppress(OutboxUnavailable):  # it is claimed again when its lease ends
                    self._settle(row.id, token, damaged, AttemptResult())
        return claimed

    def settle(self, mail: ClaimedMail, outcome: Outcome, result: AttemptResult | None = None) -> bool:
        """Record how an attempt ended. Returns False, and changes nothing, when the lease has been lost."""
        return self._settle(mail.id, mail.lease_token, outcome, result or AttemptResult())

    def reclaim_abandoned(self, own_tokens: Collection[str], trusts_clock: bool, holds: bool) -> int:
        """Take back the mails of processes that died while sending, or whose lease has run out. Returns how many.

        `own_tokens` are the leases of mails that this process is sending; leases run out only if `trusts_clock`. With
        `holds` the mails wait for a person, because each may arrive twice; otherwise they are due at once. Mails of an
        unconfirmed claim are released as well, and not counted: nobody began to send them.
        """
        state = State.HELD if holds else State.QUEUED
        unconfirmed = list(self._unconfirmed_tokens)

        def job(connection: Connection) -> int:
            if unconfirmed:
                released = connection.execute(_RELEASE, {"tokens": unconfirmed}).all()
                history.record(connection, [row.id for row in released], Event.RELEASED, State.QUEUED)
            owners = list(connection.execute(_OWNERS).scalars())
            dead, living = self._database.process_locks.sort(owners)
            values = {"dead": dead, "living": living, "tokens": list(own_tokens), "trusts_clock": trusts_clock}
            rows = connection.execute(_RECLAIM, {**values, "to_state": state, "why": _ABANDONED}).all()
            history.record(connection, [row.id for row in rows], Event.INTERRUPTED, state, _ABANDONED)
            for row in rows:
                hold_if_suppressed(connection, row.id)
            return len(rows)

        count = self._database.write(job)
        self._unconfirmed_tokens.difference_update(unconfirmed)
        return count

    def seconds_to_next(self) -> float | None:
        """Return the seconds until the next mail is due; None when nothing waits."""
        with self._database.reading() as connection:
            wait = connection.execute(_NEXT).scalar_one()
        return None if wait is None else max(0.0, wait)

    def _settle(self, mail_id: int, token: str, outcome: Outcome, result: AttemptResult) -> bool:
        values = {
            "mail": mail_id,
            "token": token,
            "to_state": outcome.state,
            "why": _clean(outcome.reason),
            "delay": outcome.delay,
            "spent": int(outcome.spends_attempt),
            "copies": int(outcome.may_be_copy),
        }
        text = _clean(result.text or outcome.reason)
        quote = (text, result.stage, result.code, result.seconds)

        def job(connection: Connection) -> bool:
            if connection.execute(_SETTLE, values).rowcount != 1:
                return False
            history.record(connection, [mail_id], outcome.event, outcome.state, *quote)
            if outcome.state in State.HOLDABLE:
                hold_if_suppressed(connection, mail_id)
            return True

        return self._database.write(job)


def _clean(text: str | None) -> str | None:
    """Return a relay's words without addresses and unprintable characters, cut to MAX_TEXT_LENGTH."""
    return mask_addresses(printable(text))[:MAX_TEXT_LENGTH] if text else text
