"""Expressions and statements that several verbs of the outbox share, for SQLite and PostgreSQL alike."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Double, bindparam, case, exists, null, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from orderconfirm.models import State
from orderconfirm.outbox.tables import IS_DUE_STATE, IS_LEASED_STATE, outbox, suppressions

#: Why a mail to a suppressed address is held.
SUPPRESSED = "mail to this address bounced for good, or its reader complained: resend releases it"


class database_now(FunctionElement[float]):
    """Seconds since 1970 by the database's clock, the only one that all processes share."""

    type = Double()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _now_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    # Rounded to what its clock tells: a time that is told is then the very one that is stored, and found by.
    return "round((julianday('now') - 2440587.5) * 86400.0, 3)"


@compiles(database_now, "postgresql")
def _now_in_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"


now = database_now()

is_due_state = text(IS_DUE_STATE)
is_leased_state = text(IS_LEASED_STATE)
NO_LEASE = {"lease_token": null(), "lease_owner": null(), "lease_until": null()}

#: Mails that are due some time, and leased ones. The second condition makes SQLite read the small partial index on that
#: column rather than the index on all states.
is_due = (is_due_state, outbox.c.due_at > 0)
is_leased = (is_leased_state, outbox.c.lease_until > 0)

#: The state, for queries that another column already narrows down. It is an expression because SQLite, which has no
#: statistics here, would use the index on states for the bare column and read all of a shop's sent mails.
state_of_few = outbox.c.state.concat("")

#: Whether a mail's address is suppressed.
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

#: Whether a mail is the newest of its order: only that one changes, for a resend replaces the ones before.
_newer = outbox.alias("newer")
is_newest = ~(
    select(_newer.c.id)
    .where(
        _newer.c.shop == outbox.c.shop,
        _newer.c.order_id == outbox.c.order_id,
        _newer.c.revision > outbox.c.revision,
    )
    .correlate(outbox)
    .exists()
)

#: All mails of an order, oldest first.
REVISIONS = (
    select(outbox)
    .where(outbox.c.shop == bindparam("shop"), outbox.c.order_id == bindparam("order_id"))
    .order_by(outbox.c.revision)
)
#: The same, locked until the transaction ends. SQLite's write lock makes the clause unnecessary there.
LOCKED_REVISIONS = REVISIONS.with_for_update()


def insert_into(table: Any, dialect: str) -> Any:
    """Return the dialect's own INSERT, which knows ON CONFLICT."""
    return (sqlite.insert if dialect == "sqlite" else postgresql.insert)(table)


def insert_mail(dialect: str) -> Any:
    """Return the INSERT of a mail, due at once or held if its address is suppressed.

    It returns no row when the order already has a mail of this revision.
    """
    is_held = exists().where(
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
            state=case((is_held, State.HELD), else_=State.QUEUED),
            reason=case((is_held, SUPPRESSED)),
            changed_at=now,
            due_at=now,
        )
        .on_conflict_do_nothing(index_elements=["shop", "order_id", "revision"])
        .returning(*outbox.c)
    )
