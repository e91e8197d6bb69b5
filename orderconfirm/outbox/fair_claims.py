"""The claim of due mails, in which each shop gets a fair share: a shop's backlog does not keep the others waiting."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select, update

from orderconfirm.models import State
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.sql import is_due_state, now
from orderconfirm.outbox.tables import outbox


def _next_shop(*conditions: Any) -> Any:
    """Return the first shop by name that has a mail to be sent, now or later."""
    return select(outbox.c.shop).where(is_due_state, *conditions).order_by(outbox.c.shop).limit(1).scalar_subquery()


def _shops() -> Select[Any]:
    """Return the SELECT of the shops with mails to be sent, and the seconds until the first of each is due.

    It jumps in the index from shop to shop. DISTINCT would read every mail that waits.
    """
    shops = select(_next_shop().label("shop")).cte("shops", recursive=True)
    shops = shops.union_all(select(_next_shop(outbox.c.shop > shops.c.shop)).where(shops.c.shop.is_not(None)))
    first = select(func.min(outbox.c.due_at)).where(is_due_state, outbox.c.shop == shops.c.shop).scalar_subquery()
    return select(shops.c.shop, (first - now).label("wait")).where(shops.c.shop.is_not(None))


SHOPS = _shops()

# SKIP LOCKED keeps processes on PostgreSQL apart. On SQLite the write lock does, and SQLAlchemy leaves the clause out.
# PostgreSQL executes a CTE once. It may execute a subquery for each row, and then claims more mails than the limit.
_due = (
    select(outbox.c.id)
    .where(is_due_state, outbox.c.shop == bindparam("of_shop"), outbox.c.due_at <= now)
    .order_by(outbox.c.due_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
    .cte("due")
)
_CLAIM = (
    update(outbox)
    .where(outbox.c.id.in_(select(_due.c.id)))
    .values(
        state=State.SENDING,
        changed_at=now,
        lease_token=bindparam("token"),
        lease_owner=bindparam("owner"),
        lease_until=now + bindparam("lease"),
    )
    .returning(*outbox.c)
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
    """The claims of a process, for the writer. `account_of` returns the relay account of a shop."""

    def __init__(self, database: Database, account_of: Callable[[str], str]) -> None:
        self._account_of = account_of
        self._shops = database.compiled(SHOPS)
        self._claim = database.compiled(_CLAIM)
        #: The shops in the order of their last claims, the latest last.
        self._served: dict[str, None] = {}

    def claim_all(self, connection: Connection, requests: Sequence[ClaimRequest]) -> list[list[Any]]:
        """Lease due mails for each request, and return their rows, longest due first."""
        return [self._claim_for(connection, request) for request in requests]

    def _claim_for(self, connection: Connection, request: ClaimRequest) -> list[Any]:
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
