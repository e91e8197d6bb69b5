"""SQL expressions and statements that several modules share, for SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ColumnElement, Double, bindparam, case, exists, null, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from orderconfirm.models import State
from orderconfirm.outbox.tables import HAS_POSSIBLE_COPIES, IS_DUE_STATE, IS_LEASED_STATE, outbox, suppressions

#: The reason of a mail that is held because its address is suppressed.
SUPPRESSED = "this address bounced permanently or reported spam: use resend to release it"


class database_now(FunctionElement[float]):
    """Seconds since 1970 by the database's clock, which all processes share."""

    type = Double()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _now_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    # Rounded to the clock's resolution, so that a returned time equals the stored one and can be searched for.
    return "round((julianday('now') - 2440587.5) * 86400.0, 3)"


@compiles(database_now, "postgresql")
def _now_in_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    # PostgreSQL compares an index only with a stable function, and clock_timestamp() is volatile.
    return "CAST(extract(epoch FROM statement_timestamp()) AS double precision)"


now = database_now()

is_due_state = text(IS_DUE_STATE)
is_leased_state = text(IS_LEASED_STATE)
NO_LEASE = {"lease_token": null(), "lease_owner": null(), "lease_until": null()}

#: Mails that are due now or later, and leased ones. The second condition makes SQLite use the small partial index on
#: that column instead of the index on all states.
is_due = (is_due_state, outbox.c.due_at > 0)
is_leased = (is_leased_state, outbox.c.lease_until > 0)

has_possible_copies = text(HAS_POSSIBLE_COPIES)


def of_few_mails(column: Column[str]) -> ColumnElement[str]:
    """Return a column for queries that another column already narrows down.

    It is an expression because SQLite, which has no statistics here, would use the index on states, for example, for
    the plain column and read all sent mails of a shop.
    """
    return column.concat("")


state_of_few = of_few_mails(outbox.c.state)

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

#: Whether a mail is its order's newest. Only the newest one changes state; a resend replaces the earlier ones.
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
    """Return the dialect's INSERT, which supports ON CONFLICT."""
    return (sqlite.insert if dialect == "sqlite" else postgresql.insert)(table)


def insert_mail(dialect: str, *returned: Column[Any]) -> Any:
    """Return the INSERT of a mail, which is due at once, or held if its address is suppressed.

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
            request_id=bindparam("request_id"),
            state=case((is_held, State.HELD), else_=State.QUEUED),
            reason=case((is_held, SUPPRESSED)),
            changed_at=now,
            due_at=now,
        )
        .on_conflict_do_nothing(index_elements=["shop", "order_id", "revision"])
        .returning(*returned)
    )
