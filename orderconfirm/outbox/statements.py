"""The outbox's SQL, said once for SQLite and PostgreSQL: each statement is built at import and run with its values."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Boolean,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    null,
    or_,
    select,
    text,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from orderconfirm.models import Search, State
from orderconfirm.outbox.tables import (
    ATTENTION_STATES,
    DUE_STATES,
    FINISHED_STATES,
    LEASED_STATES,
    clock_jumps,
    database_now,
    history,
    outbox,
    suppressions,
)

now = database_now()

SUPPRESSED = "mail to this address bounced for good, or its reader complained: resend releases it"

_NO_LEASE = {"lease_token": null(), "lease_owner": null(), "lease_until": null()}

_last_accepted = select(outbox.c.accepted_at).order_by(outbox.c.id.desc()).limit(1).scalar_subquery()
_last_event = select(history.c.at).order_by(history.c.id.desc()).limit(1).scalar_subquery()
_last_jump = select(func.max(clock_jumps.c.noticed_at)).scalar_subquery()
CLOCK = select(
    now.label("now"),
    _last_accepted.label("last_accepted"),
    _last_event.label("last_event"),
    _last_jump.label("last_jump"),
    exists().where(clock_jumps.c.noticed_at <= now, clock_jumps.c.trusted_from > now).label("is_distrusted"),
)
DISTRUST_CLOCK = insert(clock_jumps).values(
    noticed_at=now, trusted_from=now + bindparam("distrust"), seconds=bindparam("seconds")
)


def insert_into(table: Any, dialect: str) -> Any:
    """An INSERT that can let a conflict pass, which each database spells in its own words."""
    return (sqlite.insert if dialect == "sqlite" else postgresql.insert)(table)


def insert_statement(dialect: str) -> Any:
    """Take an order in, due at once or held if its address is dead; no row comes back when its id is known."""
    dead = exists().where(
        suppressions.c.shop == bindparam("shop"),
        suppressions.c.address_hash == bindparam("address_hash"),
        suppressions.c.released_at.is_(None),
    )
    return (
        insert_into(outbox, dialect)
        .values(
            shop=bindparam("shop"),
            order_id=bindparam("order_id"),
            revision=bindparam("revision"),
            fingerprint=bindparam("fingerprint"),
            message_id=bindparam("message_id"),
            recipient=bindparam("recipient"),
            address_hash=bindparam("address_hash"),
            payload=bindparam("payload"),
            accepted_at=now,
            send_before=bindparam("send_before"),
            state=case((dead, State.HELD), else_=State.QUEUED),
            reason=case((dead, SUPPRESSED)),
            changed_at=now,
            due_at=now,
        )
        .on_conflict_do_nothing(index_elements=["shop", "order_id", "revision"])
        .returning(*outbox.c)
    )


HISTORY = select(history).where(history.c.mail_id == bindparam("mail_id")).order_by(history.c.id)

# SKIP LOCKED keeps processes on PostgreSQL apart; on SQLite the write lock does, and the clause is not printed.
_due = (
    select(outbox.c.id)
    .where(text(DUE_STATES), outbox.c.due_at <= now)
    .order_by(outbox.c.due_at, outbox.c.id)
    .limit(bindparam("seats"))
    .with_for_update(skip_locked=True)
)
CLAIM = (
    update(outbox)
    .where(outbox.c.id.in_(_due), text(DUE_STATES))
    .values(
        state=State.SENDING,
        changed_at=now,
        lease_token=bindparam("token"),
        lease_owner=bindparam("owner"),
        lease_until=now + bindparam("lease"),
    )
    .returning(*outbox.c)
)

SETTLE = (
    update(outbox)
    .where(outbox.c.id == bindparam("mail"), outbox.c.lease_token == bindparam("token"), text(LEASED_STATES))
    .values(
        state=bindparam("to_state"),
        reason=bindparam("why"),
        changed_at=now,
        due_at=now + bindparam("delay"),
        tried_at=case((bindparam("spent") > 0, func.coalesce(outbox.c.tried_at, now)), else_=outbox.c.tried_at),
        attempts=outbox.c.attempts + bindparam("spent"),
        possible_copies=outbox.c.possible_copies + bindparam("copies"),
        **_NO_LEASE,
    )
)

#: Mails whose claim was not confirmed, so that nobody began to send them.
RELEASE = (
    update(outbox)
    .where(outbox.c.lease_token.in_(bindparam("tokens", expanding=True)), text(LEASED_STATES))
    .values(state=State.QUEUED, changed_at=now, due_at=now, **_NO_LEASE)
    .returning(outbox.c.id)
)

OWNERS = select(outbox.c.lease_owner).where(text(LEASED_STATES)).distinct()

#: `dead` owners are known to be gone. A lease that has run out counts too, unless its owner is one of the `living` or
#: its mail is still under way here (`tokens`): a clock that jumps must not have a mail sent twice.
RECLAIM = (
    update(outbox)
    .where(
        text(LEASED_STATES),
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
        **_NO_LEASE,
    )
    .returning(outbox.c.id)
)

#: Rows written before the clock went back keep the wait they had left, counted from now.
REBASE = (
    update(outbox)
    .where(text(DUE_STATES), outbox.c.changed_at > now)
    .values(due_at=now + (outbox.c.due_at - outbox.c.changed_at), changed_at=now)
)

NEXT = select(select(func.min(outbox.c.due_at)).where(text(DUE_STATES)).scalar_subquery() - now)

# To count them. A bound on an index's own column has SQLite read that small index, not all mails in one with states.
_waiting = (text(DUE_STATES), outbox.c.due_at > 0)
_leased = (text(LEASED_STATES), outbox.c.lease_until > 0)

_most: Any = bindparam("most")
_due_count = select(outbox.c.id).where(*_waiting).limit(_most).subquery()
_leased_count = select(outbox.c.id).where(*_leased).limit(_most).subquery()
PENDING = select(
    select(func.count()).select_from(_due_count).scalar_subquery()
    + select(func.count()).select_from(_leased_count).scalar_subquery()
)

ADD_HISTORY = insert(history).values(
    mail_id=bindparam("mail_id"),
    at=now,
    event=bindparam("event"),
    state=bindparam("state"),
    stage=bindparam("stage"),
    code=bindparam("code"),
    text=bindparam("text"),
    seconds=bindparam("seconds"),
)

# What a person asks for.

#: The state, where few mails are left to look at. As an expression, because SQLite, which keeps no statistics of its
#: own, would choose the index of states for the bare column, and read all of a shop's sent mails for one of them.
state_of_few = outbox.c.state.concat("")

#: Whether a mail's address takes no mail.
is_suppressed = (
    select(suppressions.c.since)
    .where(
        suppressions.c.shop == outbox.c.shop,
        suppressions.c.address_hash == outbox.c.address_hash,
        suppressions.c.released_at.is_(None),
    )
    .correlate(outbox)
    .exists()
)

#: Of an order's mails the newest alone moves: those before it were replaced when it was sent again.
_newer = outbox.alias("newer")
_is_newest = ~(
    select(_newer.c.id)
    .where(
        _newer.c.shop == outbox.c.shop,
        _newer.c.order_id == outbox.c.order_id,
        _newer.c.revision > outbox.c.revision,
    )
    .correlate(outbox)
    .exists()
)
_all_chosen = and_(
    outbox.c.shop == bindparam("whose"), outbox.c.state.in_(bindparam("states", expanding=True)), _is_newest
)
_one_chosen = and_(
    _is_newest,
    outbox.c.shop == bindparam("whose"),
    outbox.c.order_id == bindparam("chosen_id"),
    state_of_few.in_(bindparam("states", expanding=True)),
)

# Who puts back all mails does not mean those whose address takes none.
_can_come_back = and_(outbox.c.payload.is_not(None), ~is_suppressed)
_requeue = (
    update(outbox)
    .values(
        state=State.QUEUED,
        reason=null(),
        changed_at=now,
        due_at=now,
        tried_at=null(),
        attempts=0,
        # A person wants it sent although its time has passed.
        send_before=case((outbox.c.send_before > now, outbox.c.send_before)),
    )
    .returning(outbox.c.id)
)
REQUEUE = _requeue.where(_one_chosen, _can_come_back)
#: A part of a shop's mails, those behind the id `after`.
REQUEUE_SOME = _requeue.where(
    outbox.c.id.in_(
        select(outbox.c.id)
        .where(_all_chosen, _can_come_back, outbox.c.id > bindparam("after"))
        .order_by(outbox.c.id)
        .limit(bindparam("most"))
    )
)

CANCEL = update(outbox).where(_one_chosen).values(state=State.CANCELLED, changed_at=now).returning(outbox.c.id)

NEWEST = (
    select(outbox)
    .where(outbox.c.state.in_(bindparam("states", expanding=True)))
    .order_by(outbox.c.id.desc())
    .limit(bindparam("most"))
)

_NAMES = (outbox.c.id, outbox.c.shop, outbox.c.order_id)
#: An order's mails go together: as long as one of them has its content, the order can be sent again.
_old = (
    select(outbox.c.shop, outbox.c.order_id)
    .where(text(f"{FINISHED_STATES} AND payload IS NOT NULL"), outbox.c.changed_at < now - bindparam("age"), _is_newest)
    .limit(bindparam("most"))
)
PURGE = (
    update(outbox)
    .where(tuple_(outbox.c.shop, outbox.c.order_id).in_(_old))
    .values(payload=null(), recipient=null(), address_hash=null(), reason=null())
    .returning(*_NAMES)
)

# Each part by itself, for then each reads its own small index alone.
STATS = union_all(
    select(outbox.c.state, func.count().label("mails"), func.max(now - outbox.c.due_at).label("waiting"))
    .where(*_waiting)
    .group_by(outbox.c.state),
    select(outbox.c.state, func.count(), null()).where(*_leased).group_by(outbox.c.state),
    select(outbox.c.state, func.count(), null()).where(text(ATTENTION_STATES)).group_by(outbox.c.state),
)
COPIES = select(func.coalesce(func.sum(outbox.c.possible_copies), 0)).where(text("possible_copies > 0"))

SHOPS = select(outbox.c.shop).distinct().order_by(outbox.c.shop)
SHOPS_OF = SHOPS.where(outbox.c.order_id == bindparam("order_id"))

#: Every mail of one order, the confirmation and those sent again.
REVISIONS = (
    select(outbox)
    .where(outbox.c.shop == bindparam("shop"), outbox.c.order_id == bindparam("order_id"))
    .order_by(outbox.c.revision)
)
#: The same, and no other process changes them before this transaction ends. On SQLite the write lock sees to that.
LOCKED_REVISIONS = REVISIONS.with_for_update()


def search(shop: str, wanted: Search, after: tuple[float, int] | None, most: int) -> Select[Any]:
    """Mails of a shop, newest first, from behind (accepted_at, id) `after`; each case has its index.

    That of states has the mails of one state in order, not those of several: each gives its newest, to choose among.
    """
    mails = outbox.c
    newest_first = (mails.accepted_at.desc(), mails.id.desc())
    asked = [mails.shop == shop, mails.erased_at.is_(None)]
    if wanted.recipient:
        asked.append(mails.recipient == wanted.recipient.lower())
    if wanted.since:
        asked.append(mails.accepted_at >= wanted.since.timestamp())
    ends = [end for end in (after, wanted.until and (wanted.until.timestamp(), 0)) if end]
    if ends:
        # One bound alone: with two of them SQLite would rather read by time all that lies between.
        asked.append(tuple_(mails.accepted_at, mails.id) < min(ends))
    if wanted.states and wanted.recipient:
        asked.append(state_of_few.in_(wanted.states))
    elif wanted.states:
        newest = select(mails.id).where(*asked).order_by(*newest_first).limit(most)
        of_each = [newest.where(mails.state == state).subquery() for state in sorted(set(wanted.states))]
        asked = [mails.id.in_(union_all(*(select(each.c.id) for each in of_each)))]
    return select(outbox).where(*asked).order_by(*newest_first).limit(most)


#: Everything personal of an order's mails, those that wait included: they are withdrawn. One that is being sent stays.
ERASE = (
    update(outbox)
    .where(
        outbox.c.shop == bindparam("whose"),
        outbox.c.order_id == bindparam("chosen_id"),
        outbox.c.state != State.SENDING,
        outbox.c.erased_at.is_(None),
    )
    .values(
        payload=null(),
        recipient=null(),
        address_hash=null(),
        reason=null(),
        erased_at=now,
        state=case((or_(text(DUE_STATES), outbox.c.state == State.HELD), State.CANCELLED), else_=outbox.c.state),
        changed_at=now,
    )
    .returning(outbox.c.id, outbox.c.state)
)
