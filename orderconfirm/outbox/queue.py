"""The outbox as the service uses it: accept a mail, lease it, settle it, bring back what was abandoned."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection

from orderconfirm.errors import OutboxFull, OutboxUnavailable, UnconfirmedWrite
from orderconfirm.logs import mask_addresses, printable
from orderconfirm.models import ClaimedMail, Event, NewMail, OutboxEntry, State
from orderconfirm.outbox import statements as sql
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.idempotency import IdempotencyKeys, KeyUse
from orderconfirm.outbox.retry import Outcome
from orderconfirm.outbox.rows import new_event, new_values, to_claimed, to_entry
from orderconfirm.outbox.suppressions import hold_if_suppressed

log = logging.getLogger(__name__)

#: Characters kept of a relay's words.
MAX_TEXT_LENGTH = 1000
#: Seconds that a full outbox stays full without being counted again.
RECOUNT_SECONDS = 1.0
#: Seconds for which a refused order says that others would be refused too. Then one must show whether that still holds:
#: a load balancer sends none to a process that is not ready.
REFUSAL_SECONDS = 60.0
#: Seconds for which the clock's times are not trusted after an implausible jump: time for a person to set it right.
DISTRUST_SECONDS = 86400.0


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
    """Where an attempt ended and what the relay said then."""

    stage: str | None = None
    code: int | None = None
    text: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The database's clock, and the time of the last thing that happened in the outbox, in seconds since 1970.

    `is_distrusted` holds for a day after an implausible jump.
    """

    now: float
    last_event_at: float | None
    is_distrusted: bool


class OutboxQueue:
    """Every write is committed when its method returns.

    Every method raises OutboxUnavailable when the database does not do its part.
    """

    def __init__(self, database: Database, max_pending: int) -> None:
        """`most_pending` mails may wait; more are refused with OutboxFull."""
        self._database = database
        self._insert = sql.insert_statement(database.dialect)
        self._keys = IdempotencyKeys(database.dialect)
        self._max_pending = max_pending
        self._refusal: tuple[str, float] | None = None
        #: Leases that this process may hold without knowing for which mails.
        self._unconfirmed_tokens: set[str] = set()
        self._room = 0
        self._counted_at = 0.0

    def add(self, mail: NewMail) -> AddResult:
        """Take an order in, due at once or held, unless its (shop, order_id) is known: then nothing changes.

        Its idempotency key is kept as long as the order's content, unless this is another order than the known one.
        Raises KeyConflict when that key came with another request.
        """
        values = new_values(mail)
        known = {"shop": mail.shop, "order_id": mail.order_id}
        key = mail.idempotency_key
        use = KeyUse(mail.shop, key, mail.order_id, mail.fingerprint) if key else None

        def job(connection: Connection) -> AddResult | None:
            row = connection.execute(self._insert, values).first() if self._has_room(connection) else None
            if row is not None and row.state == State.HELD:
                connection.execute(sql.ADD_HISTORY, new_event(row.id, Event.HELD, State.HELD, row.reason))
            rows = [row] if row is not None else connection.execute(sql.REVISIONS, known).all()
            if not rows:
                return None
            first = rows[0]
            if use and first.fingerprint == mail.fingerprint and first.payload is not None:
                self._keys.take(connection, use)
            return AddResult(to_entry(rows[-1]), first.fingerprint, first.payload, is_new=row is not None)

        try:
            result = self._database.write_to_stay(job)
            if result is None:
                raise OutboxFull(f"{self._max_pending} mails wait already (OUTBOX_MAX_PENDING)")
        except OutboxUnavailable as exc:
            self._refusal = (str(exc), time.monotonic())
            raise
        if result.is_new:
            self._refusal = None
        return result

    @property
    def refusal(self) -> str | None:
        """Why this process refuses orders; None once it took one, or when the last refusal is REFUSAL_SECONDS old."""
        if self._refusal is None or time.monotonic() - self._refusal[1] > REFUSAL_SECONDS:
            return None
        return self._refusal[0]

    def claim(self, seats: int, lease_seconds: float) -> list[ClaimedMail]:
        """Lease at most `seats` due mails, longest due first. No other process gets them before the lease ends.

        A row that cannot be read fails alone. Raises UnconfirmedWrite when the mails may be leased but are not known:
        `reclaim_abandoned` releases them.
        """
        token = secrets.token_hex(16)
        values = {
            "token": token,
            "owner": self._database.process_locks.owner,
            "seats": seats,
            "lease": lease_seconds,
        }
        try:
            rows = self._database.write(lambda connection: connection.execute(sql.CLAIM, values).all())
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

    def settle(self, mail: ClaimedMail, outcome: Outcome, report: AttemptResult | None = None) -> bool:
        """Write down how an attempt ended. False: the lease was lost meanwhile, and nothing was changed."""
        return self._settle(mail.id, mail.lease_token, outcome, report or AttemptResult())

    def reclaim_abandoned(self, own_tokens: Collection[str], trusts_clock: bool, holds: bool) -> int:
        """Put mails back whose process died while it was sending: it is seen to be gone, or their lease has run out.

        `own_tokens` are the leases under way here; leases count only if `trusts_clock`. With `holds` the mails wait for
        a person, for each may arrive twice. Returns how many. Mails of an unconfirmed claim come back as well: nobody
        began to send them, so they do not count.
        """
        why = "the process that was sending it ended without a word"
        state = State.HELD if holds else State.QUEUED

        unconfirmed = list(self._unconfirmed_tokens)

        def job(connection: Connection) -> int:
            for row in connection.execute(sql.RELEASE, {"tokens": unconfirmed}).all() if unconfirmed else ():
                connection.execute(sql.ADD_HISTORY, new_event(row.id, Event.RELEASED, State.QUEUED))
            dead, living = self._database.process_locks.sort([row[0] for row in connection.execute(sql.OWNERS)])
            values = {"dead": dead, "living": living, "tokens": list(own_tokens), "trusts_clock": trusts_clock}
            rows = connection.execute(sql.RECLAIM, {**values, "to_state": state, "why": why}).all()
            for row in rows:
                connection.execute(sql.ADD_HISTORY, new_event(row.id, Event.INTERRUPTED, state, why))
                hold_if_suppressed(connection, row.id)
            return len(rows)

        count = self._database.write(job)
        self._unconfirmed_tokens.difference_update(unconfirmed)
        return count

    def seconds_to_next(self) -> float | None:
        """Seconds until the next mail is due; None when nothing waits."""
        with self._database.reading() as connection:
            wait = connection.execute(sql.NEXT).scalar_one()
        return None if wait is None else max(0.0, wait)

    def clock(self) -> ClockReading:
        """Read the database's clock."""
        with self._database.reading() as connection:
            row = connection.execute(sql.CLOCK).one()
        moments = [moment for moment in (row.last_accepted, row.last_event, row.last_jump) if moment is not None]
        return ClockReading(row.now, max(moments, default=None), bool(row.is_distrusted))

    def distrust_clock(self, seconds: float) -> None:
        """Note for all processes that the clock jumped ahead by `seconds`."""
        values = {"seconds": seconds, "distrust": DISTRUST_SECONDS}
        self._database.write(lambda connection: connection.execute(sql.DISTRUST_CLOCK, values).close())

    def rebase(self) -> None:
        """The clock went back: what was to wait a minute must not wait until the old time comes again."""
        self._database.write(lambda connection: connection.execute(sql.REBASE))

    def _settle(self, mail_id: int, token: str, outcome: Outcome, report: AttemptResult) -> bool:
        values = {
            "mail": mail_id,
            "token": token,
            "to_state": outcome.state,
            "why": _clean(outcome.reason),
            "delay": outcome.delay,
            "spent": int(outcome.spends_attempt),
            "copies": int(outcome.may_be_copy),
        }
        text = _clean(report.text or outcome.reason)
        event = new_event(mail_id, outcome.event, outcome.state, text, report.stage, report.code, report.seconds)

        def job(connection: Connection) -> bool:
            if connection.execute(sql.SETTLE, values).rowcount != 1:
                return False
            connection.execute(sql.ADD_HISTORY, event)
            if outcome.state in (State.QUEUED, State.UNKNOWN, State.FAILED):
                hold_if_suppressed(connection, mail_id)
            return True

        return self._database.write(job)

    def _has_room(self, connection: Connection) -> bool:
        """Whether one more mail may wait. Counted anew each time the room found by the last count is used up.

        Only the writing thread comes here. Another process may use the same room, so no count gives more than a
        hundredth of the limit.
        """
        if self._room <= 0 and time.monotonic() - self._counted_at > RECOUNT_SECONDS:
            pending = connection.execute(sql.PENDING, {"most": self._max_pending}).scalar_one()
            self._room = min(self._max_pending - pending, max(1, self._max_pending // 100))
            self._counted_at = time.monotonic() if self._room <= 0 else 0.0
        self._room -= 1
        return self._room >= 0


def _clean(text: str | None) -> str | None:
    """A relay's words as they are kept: without the recipient, and without what no database or terminal takes."""
    if not text:
        return text
    return mask_addresses(printable(text))[:MAX_TEXT_LENGTH]
