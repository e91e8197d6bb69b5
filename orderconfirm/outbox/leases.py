"""Leases on mails that are being sent: settling, and reclaiming those of dead processes (`fair_claims` takes them)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Executable,
    Table,
    Update,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    update,
)

from orderconfirm.models import ClaimedMail, Event, State
from orderconfirm.outbox import history
from orderconfirm.outbox.callback_events import CallbackEvents, MailEvent
from orderconfirm.outbox.causes import Cause
from orderconfirm.outbox.copy_numbers import copies_among
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.retry import Outcome
from orderconfirm.outbox.rows import stored_text
from orderconfirm.outbox.sql import NO_LEASE, is_leased_state, now
from orderconfirm.outbox.suppressions import hold_if_suppressed
from orderconfirm.outbox.tables import merchant_copies, outbox, senders

#: A released mail keeps its due time, and so its place among the others.
_is_release = bindparam("releases") > 0
#: Senders whose lock files must be kept: `Senders` checks them before it deletes the rows.
_SENDERS = select(senders.c.name)
_ABANDONED = "the process that was sending this mail died"


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The stage at which an attempt ended, and the relay's reply. `seconds` is how long it took."""

    stage: str | None = None
    code: int | None = None
    text: str | None = None
    seconds: float | None = None


#: The result of an attempt that did not reach the relay.
NO_REPLY = AttemptResult()


@dataclass(frozen=True, slots=True)
class FinishedAttempt:
    """The outcome of one attempt to send the mail of `shop` that is leased with `token`."""

    mail_id: int
    token: str
    shop: str
    outcome: Outcome
    result: AttemptResult = NO_REPLY
    is_copy: bool = False

    @classmethod
    def of(cls, mail: ClaimedMail, outcome: Outcome, result: AttemptResult = NO_REPLY) -> FinishedAttempt:
        """Return the finished attempt to send a claimed mail."""
        return cls(mail.id, mail.lease_token, mail.shop, outcome, result, mail.is_copy)


@dataclass(frozen=True, slots=True)
class ReclaimRequest:
    """The leases that a process knows of: those of mails that it is sending, and those of unconfirmed claims.

    Expired leases are reclaimed only if `trusts_clock`. With `holds`, mails that may arrive twice are held.
    """

    own_tokens: Collection[str]
    unconfirmed_tokens: Collection[str]
    trusts_clock: bool
    holds: bool


class Leases:
    """The operations on leases, for the writer."""

    def __init__(self, database: Database, has_callback: Callable[[str], bool]) -> None:
        """`has_callback` is whether a shop's events are posted to it."""
        self._callback_events = CallbackEvents(database, has_callback)
        self._process_locks = database.process_locks
        self._mails = _TableLeases(database, outbox)
        self._copies = _TableLeases(database, merchant_copies)
        self._add_event = database.compiled(history.ADD)

    def settle_all(self, connection: Connection, finished_attempts: Sequence[FinishedAttempt]) -> list[bool]:
        """Record outcomes and end leases. A result is False, and nothing is changed, when the lease has been lost."""
        are_ours = [False] * len(finished_attempts)
        # The mails first, as all who lock both a mail and its copy.
        for number, finished in sorted(enumerate(finished_attempts), key=lambda pair: pair[1].is_copy):
            are_ours[number] = (self._copies if finished.is_copy else self._mails).settle(connection, finished)
        ours = list(compress(finished_attempts, are_ours))
        if ours:
            self._add_event.execute_many(connection, map(_event, ours))
        of_mails = [finished for finished in ours if not finished.is_copy]
        held = {
            finished.mail_id
            for finished in of_mails
            if finished.outcome.state in State.HOLDABLE and hold_if_suppressed(connection, finished.mail_id)
        }
        events = (_mail_event(finished, finished.mail_id in held) for finished in of_mails)
        self._callback_events.add(connection, events)
        return are_ours

    def reclaim(self, connection: Connection, request: ReclaimRequest) -> list[str]:
        """Reclaim the mails and copies of dead processes and expired leases.

        Returns the orders whose mails may arrive twice.
        """
        tables = (self._mails, self._copies)
        for table in tables:
            table.release_unconfirmed(connection, request.unconfirmed_tokens)
        owners: dict[str, float] = {}
        for owner, claimed_at in chain.from_iterable(table.owners(connection) for table in tables):
            owners[owner] = max(claimed_at, owners.get(owner, claimed_at))
        owners.pop(self._process_locks.owner, None)
        dead, living = self._process_locks.verdict(connection, owners)
        self._process_locks.forget([*owners, *connection.execute(_SENDERS).scalars()])
        for owner in dead:
            if (begun := self._process_locks.begun_by(owner)) is not None:
                self._mails.release_unbegun(connection, owner, begun)
                self._copies.release_unbegun(connection, owner, copies_among(begun))
        leases = {
            "dead": dead,
            "living": living,
            "tokens": list(request.own_tokens),
            "trusts_clock": request.trusts_clock,
        }
        mails = self._mails.reclaim(connection, leases, State.HELD if request.holds else State.QUEUED)
        held = {mail.id: Cause.UNKNOWN_OUTCOME for mail in mails if request.holds}
        held |= {mail.id: Cause.SUPPRESSED for mail in mails if hold_if_suppressed(connection, mail.id)}
        events = (MailEvent(mail.id, mail.shop, Event.HELD, held[mail.id]) for mail in mails if mail.id in held)
        self._callback_events.add(connection, events)
        self._copies.reclaim(connection, leases, State.QUEUED)
        return [mail.order_id for mail in mails]


class _TableLeases:
    """The leases in one table: those of mails, or those of copies."""

    def __init__(self, database: Database, table: Table) -> None:
        self._is_copy = table is merchant_copies
        self._settle = database.compiled(_settlement(table))
        c = table.c
        release = update(table).values(state=State.QUEUED, changed_at=now, **NO_LEASE).returning(c.id)
        #: The mails of unconfirmed claims, none of which has been begun.
        self._release_unconfirmed = release.where(
            c.lease_token.in_(bindparam("tokens", expanding=True)), is_leased_state
        )
        #: The mails of a dead process, except those that it had begun to send.
        self._release_unbegun = release.where(
            is_leased_state, c.lease_owner == bindparam("owner"), c.id.not_in(bindparam("begun", expanding=True))
        )
        #: The owners of leases, with the time when each last took one.
        self._owners = select(c.lease_owner, func.max(c.changed_at)).where(is_leased_state).group_by("lease_owner")
        self._reclaim = _reclamation(table)

    def settle(self, connection: Connection, finished: FinishedAttempt) -> bool:
        """Record an outcome and end the lease. Returns False if the lease has been lost."""
        return self._settle.changes(connection, _values(finished)) == 1

    def release_unconfirmed(self, connection: Connection, tokens: Collection[str]) -> None:
        self._release(connection, self._release_unconfirmed, {"tokens": list(tokens)})

    def release_unbegun(self, connection: Connection, owner: str, begun: Collection[int]) -> None:
        self._release(connection, self._release_unbegun, {"owner": owner, "begun": list(begun)})

    def owners(self, connection: Connection) -> Iterable[Any]:
        """Return the owners of leases, and when each last took one."""
        return connection.execute(self._owners).all()

    def reclaim(self, connection: Connection, leases: Mapping[str, Any], state: State) -> Sequence[Any]:
        """End the leases of dead processes and expired ones, and return the rows of mails that may arrive twice."""
        rows = connection.execute(self._reclaim, {**leases, "to_state": state, "why": _ABANDONED}).all()
        ids = [row.id for row in rows]
        history.record(connection, ids, Event.INTERRUPTED, state, _ABANDONED, is_copy=self._is_copy)
        return rows

    def _release(self, connection: Connection, statement: Any, values: dict[str, Any]) -> None:
        ids = list(connection.execute(statement, values).scalars())
        history.record(connection, ids, Event.RELEASED, State.QUEUED, is_copy=self._is_copy)


def _first_tried_at(table: Table) -> ColumnElement[float]:
    """Return the claim of the first attempt, the mail's Date: the last change of a leased mail was its claim."""
    return func.coalesce(table.c.tried_at, table.c.changed_at)


def _settlement(table: Table) -> Update:
    c = table.c
    return (
        update(table)
        .where(c.id == bindparam("mail_id"), c.lease_token == bindparam("token"), is_leased_state)
        .values(
            state=bindparam("to_state"),
            reason=case((_is_release, c.reason), else_=bindparam("why")),
            changed_at=now,
            due_at=case((_is_release, c.due_at), else_=now + bindparam("delay")),
            tried_at=case((bindparam("spent") > 0, _first_tried_at(table)), else_=c.tried_at),
            attempts=c.attempts + bindparam("spent"),
            possible_copies=c.possible_copies + bindparam("copies"),
            **NO_LEASE,
        )
    )


def _reclamation(table: Table) -> Executable:
    """End the leases of `dead` owners, and expired ones.

    Except if the owner is known to be `living`, or this process is sending the mail (`tokens`): a jump of the clock
    must not cause a mail to be sent twice.
    """
    c = table.c
    has_expired = and_(
        bindparam("trusts_clock", type_=Boolean()),
        c.lease_until < now,
        c.lease_owner.not_in(bindparam("living", expanding=True)),
        c.lease_token.not_in(bindparam("tokens", expanding=True)),
    )
    return (
        update(table)
        .where(is_leased_state, or_(c.lease_owner.in_(bindparam("dead", expanding=True)), has_expired))
        .values(
            state=bindparam("to_state"),
            reason=bindparam("why"),
            changed_at=now,
            due_at=now,
            tried_at=_first_tried_at(table),
            attempts=c.attempts + 1,
            possible_copies=c.possible_copies + 1,
            **NO_LEASE,
        )
        .returning(*(c[name] for name in ("id", "order_id", "shop") if name in c))
    )


def _mail_event(finished: FinishedAttempt, is_suppressed: bool) -> MailEvent:
    """Return what happened to a mail in the end: it may be held because its address was suppressed meanwhile."""
    if is_suppressed:
        return MailEvent(finished.mail_id, finished.shop, Event.HELD, Cause.SUPPRESSED)
    outcome = finished.outcome
    return MailEvent(finished.mail_id, finished.shop, outcome.event, outcome.cause, finished.result.code)


def _values(finished: FinishedAttempt) -> dict[str, Any]:
    outcome = finished.outcome
    return {
        "mail_id": finished.mail_id,
        "token": finished.token,
        "to_state": str(outcome.state),
        "why": stored_text(outcome.reason),
        "delay": outcome.delay,
        "releases": int(outcome.event is Event.RELEASED),
        "spent": int(outcome.spends_attempt),
        "copies": int(outcome.may_be_copy),
    }


def _event(finished: FinishedAttempt) -> dict[str, Any]:
    outcome, result = finished.outcome, finished.result
    return {
        "mail_id": finished.mail_id,
        "event": str(outcome.event),
        "state": str(outcome.state),
        "stage": result.stage,
        "code": result.code,
        "text": stored_text(result.text or outcome.reason),
        "seconds": result.seconds,
        "is_copy": finished.is_copy,
    }
