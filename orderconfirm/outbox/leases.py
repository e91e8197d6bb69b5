"""Leases on mails that are being sent: settling, and reclaiming those of dead processes (`fair_claims` takes them)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

from sqlalchemy import Boolean, Connection, and_, bindparam, case, func, or_, select, update

from orderconfirm.models import ClaimedMail, Event, State
from orderconfirm.outbox import history
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.retry import Outcome
from orderconfirm.outbox.rows import stored_text
from orderconfirm.outbox.sql import NO_LEASE, is_leased_state, now
from orderconfirm.outbox.suppressions import hold_if_suppressed
from orderconfirm.outbox.tables import outbox, senders

#: A released mail keeps its due time, and so its place among the others.
_is_release = bindparam("releases") > 0
#: The claim of the first attempt, which is the mail's Date: a leased mail was changed last by its claim.
_first_tried_at = func.coalesce(outbox.c.tried_at, outbox.c.changed_at)
_SETTLE = (
    update(outbox)
    .where(outbox.c.id == bindparam("mail_id"), outbox.c.lease_token == bindparam("token"), is_leased_state)
    .values(
        state=bindparam("to_state"),
        reason=case((_is_release, outbox.c.reason), else_=bindparam("why")),
        changed_at=now,
        due_at=case((_is_release, outbox.c.due_at), else_=now + bindparam("delay")),
        tried_at=case((bindparam("spent") > 0, _first_tried_at), else_=outbox.c.tried_at),
        attempts=outbox.c.attempts + bindparam("spent"),
        possible_copies=outbox.c.possible_copies + bindparam("copies"),
        **NO_LEASE,
    )
)
_release = update(outbox).values(state=State.QUEUED, changed_at=now, **NO_LEASE).returning(outbox.c.id)
#: The mails of unconfirmed claims, none of which has been begun.
_RELEASE_UNCONFIRMED = _release.where(outbox.c.lease_token.in_(bindparam("tokens", expanding=True)), is_leased_state)
#: The mails of a dead process, except those that it had begun to send.
_RELEASE_UNBEGUN = _release.where(
    is_leased_state, outbox.c.lease_owner == bindparam("owner"), outbox.c.id.not_in(bindparam("begun", expanding=True))
)
#: The owners of leases, with the time when each last took one.
_OWNERS = select(outbox.c.lease_owner, func.max(outbox.c.changed_at)).where(is_leased_state).group_by("lease_owner")
#: Senders whose lock files must be kept: `Senders` checks them before it deletes the rows.
_SENDERS = select(senders.c.name)

#: The leases of `dead` owners, and expired ones, unless their owner is known to be `living` or this process is sending
#: the mail (`tokens`): a jump of the clock must not cause a mail to be sent twice.
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
        tried_at=_first_tried_at,
        attempts=outbox.c.attempts + 1,
        possible_copies=outbox.c.possible_copies + 1,
        **NO_LEASE,
    )
    .returning(outbox.c.id, outbox.c.order_id)
)
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
    """The outcome of one attempt to send the mail leased with `token`."""

    mail_id: int
    token: str
    outcome: Outcome
    result: AttemptResult = NO_REPLY

    @classmethod
    def of(cls, mail: ClaimedMail, outcome: Outcome, result: AttemptResult = NO_REPLY) -> FinishedAttempt:
        """Return the finished attempt to send a claimed mail."""
        return cls(mail.id, mail.lease_token, outcome, result)


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

    def __init__(self, database: Database) -> None:
        self._process_locks = database.process_locks
        self._settle = database.compiled(_SETTLE)
        self._add_event = database.compiled(history.ADD)

    def settle_all(self, connection: Connection, finished_attempts: Sequence[FinishedAttempt]) -> list[bool]:
        """Record outcomes and end leases. A result is False, and nothing is changed, when the lease has been lost."""
        are_ours = [self._settle.changes(connection, _values(finished)) == 1 for finished in finished_attempts]
        ours = list(compress(finished_attempts, are_ours))
        if ours:
            self._add_event.execute_many(connection, map(_event, ours))
        for finished in ours:
            if finished.outcome.state in State.HOLDABLE:
                hold_if_suppressed(connection, finished.mail_id)
        return are_ours

    def reclaim(self, connection: Connection, request: ReclaimRequest) -> list[str]:
        """Reclaim the mails of dead processes and expired leases. Returns the orders whose mails may arrive twice."""
        self._release(connection, _RELEASE_UNCONFIRMED, {"tokens": list(request.unconfirmed_tokens)})
        owners = {owner: claimed_at for owner, claimed_at in connection.execute(_OWNERS)}
        owners.pop(self._process_locks.owner, None)
        dead, living = self._process_locks.verdict(connection, owners)
        self._process_locks.forget([*owners, *connection.execute(_SENDERS).scalars()])
        for owner in dead:
            if (begun := self._process_locks.begun_by(owner)) is not None:
                self._release(connection, _RELEASE_UNBEGUN, {"owner": owner, "begun": list(begun)})
        state = State.HELD if request.holds else State.QUEUED
        values = {
            "dead": dead,
            "living": living,
            "tokens": list(request.own_tokens),
            "trusts_clock": request.trusts_clock,
            "to_state": state,
            "why": _ABANDONED,
        }
        mails = connection.execute(_RECLAIM, values).all()
        history.record(connection, [mail.id for mail in mails], Event.INTERRUPTED, state, _ABANDONED)
        for mail in mails:
            hold_if_suppressed(connection, mail.id)
        return [mail.order_id for mail in mails]

    def _release(self, connection: Connection, statement: Any, values: dict[str, Any]) -> None:
        ids = list(connection.execute(statement, values).scalars())
        history.record(connection, ids, Event.RELEASED, State.QUEUED)


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
    }
