"""The claim of due mails, in which each shop gets a fair share: a shop's backlog does not keep the others waiting."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, Table, bindparam, func, select, update

from orderconfirm.models import State
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.sql import is_due_state, now


def _first_shop(table: Table, *conditions: Any) -> Any:
    """Return the first shop by name that has a mail to be sent, now or later."""
    # In the order of the index of due mails, because SQLite would choose the index of all states.
    order = (table.c.shop, table.c.due_at)
    return select(table.c.shop).where(is_due_state, *conditions).order_by(*order).limit(1).scalar_subquery()


def shops_with_mails(table: Table) -> Select[Any]:
    """Return the SELECT of the shops with mails to be sent, and the seconds until the first of each is due.

    It jumps in the index from shop to shop. DISTINCT would read every mail that waits.
    """
    shops = select(_first_shop(table).label("shop")).cte("shops", recursive=True)
    shops = shops.union_all(select(_first_shop(table, table.c.shop > shops.c.shop)).where(shops.c.shop.is_not(None)))
    first = select(func.min(table.c.due_at)).where(is_due_state, table.c.shop == shops.c.shop).scalar_subquery()
    return select(shops.c.shop, (first - now).label("wait")).where(shops.c.shop.is_not(None))


def _claim(table: Table) -> Any:
    # SKIP LOCKED keeps processes on PostgreSQL apart. On SQLite the write lock does, and SQLAlchemy leaves the clause
    # out. PostgreSQL executes a CTE once. It may execute a subquery for each row, and then claims more mails than the
    # limit.
    due = (
        select(table.c.id)
        .where(is_due_state, table.c.shop == bindparam("of_shop"), table.c.due_at <= now)
        .order_by(table.c.due_at)
        .limit(bindparam("limit"))
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    return (
        update(table)
        .where(table.c.id.in_(select(due.c.id)))
        .values(
            state=State.SENDING,
            changed_at=now,
            lease_token=bindparam("token"),
            lease_owner=bindparam("owner"),
            lease_until=now + bindparam("lease"),
        )
        .returning(*table.c)
    )


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """The leases that a process wants: `token`, `owner` and `lease` in seconds are theirs.

    `limits` is how many mails each relay account may get.
    """

    token: str
    owner: str
    lease: float
    limits: Mapping[str, int]


class FairClaims:
    """The claims of a process, of mails or of copies. `account_of` returns the relay account of a shop."""

    def __init__(self, database: Database, account_of: Callable[[str], str], table: Table) -> None:
        self._account_of = account_of
        self._shops = database.compiled(shops_with_mails(table))
        self._claim = database.compiled(_claim(table))
        #: The shops in the order of their last claims, the latest last.
        self._served: dict[str, None] = {}

    def claim(self, connection: Connection, request: ClaimRequest) -> list[Any]:
        """Lease due mails, and return their rows, longest due first."""
        shops = defaultdict(list)
        for row in self._shops.rows(connection, {}):
            if row.wait <= 0:
                shops[self._account_of(row.shop)].append(row.shop)
        rows: list[Any] = []
        for account, limit in request.limits.items():
            rows += self._claim_from(connection, request, self._by_turn(shops[account]), limit)
        return sorted(rows, key=lambda row: (row.due_at, row.id))  # an UPDATE returns its rows in any order

    def _claim_from(self, connection: Connection, request: ClaimRequest, shops: list[str], limit: int) -> list[Any]:
        """Divide `limit` leases among shops. What one does not need goes to the others."""
        lease = {"token": request.token, "owner": request.owner, "lease": request.lease}
        rows: list[Any] = []
        while shops and limit > len(rows):
            unsatisfied = []
            for number, shop in enumerate(shops):
                part = -(-(limit - len(rows)) // (len(shops) - number))
                claimed = self._claim.rows(connection, {**lease, "of_shop": shop, "limit": part}) if part else []
                if claimed:
                    self._served.pop(shop, None)
                    self._served[shop] = None
                rows += claimed
                if len(claimed) == part:
                    unsatisfied.append(shop)
            shops = unsatisfied
        return rows

    def _by_turn(self, shops: Iterable[str]) -> list[str]:
        """Return the shops, those first that were served longest ago."""
        turns = {shop: turn for turn, shop in enumerate(self._served)}
        return sorted(shops, key=lambda shop: turns.get(shop, -1))
