"""How many mails may still wait, and whether orders are refused."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from orderconfirm.outbox.sql import is_due, is_leased
from orderconfirm.outbox.tables import outbox

#: Seconds that a full outbox stays full without being counted again.
RECOUNT_SECONDS = 1.0
#: Seconds for which a refused order makes the process unready. A load balancer then sends no orders that could show
#: whether they are still refused, so the process must count as ready again to get one.
REFUSAL_SECONDS = 10.0

_limit: Any = bindparam("limit")
_due = select(outbox.c.id).where(*is_due).limit(_limit).subquery()
_leased = select(outbox.c.id).where(*is_leased).limit(_limit).subquery()
_PENDING = select(
    select(func.count()).select_from(_due).scalar_subquery()
    + select(func.count()).select_from(_leased).scalar_subquery()
)


class Capacity:
    """At most `max_pending` mails wait at a time."""

    def __init__(self, max_pending: int) -> None:
        self.max_pending = max_pending
        self._room = 0
        self._counted_at = 0.0
        self._refusal = ""
        self._refused_at = 0.0

    def take(self, connection: Connection) -> bool:
        """Whether one more mail may wait. Only the writing thread calls this.

        Other processes use the same room. So each count grants at most a hundredth of the limit, and the next one is
        made when that is used up.
        """
        if self._room <= 0 and time.monotonic() - self._counted_at > RECOUNT_SECONDS:
            pending = connection.execute(_PENDING, {"limit": self.max_pending}).scalar_one()
            self._room = min(self.max_pending - pending, max(1, self.max_pending // 100))
            self._counted_at = time.monotonic() if self._room <= 0 else 0.0
        self._room -= 1
        return self._room >= 0

    def note_refusal(self, reason: str) -> None:
        """Remember that an order was refused."""
        self._refusal, self._refused_at = reason, time.monotonic()

    def note_acceptance(self) -> None:
        """Remember that a new order was stored: whatever caused the last refusal is over."""
        self._refusal = ""

    @property
    def refusal(self) -> str | None:
        """Why this process refuses orders; None once it stored one, or REFUSAL_SECONDS after the last refusal."""
        is_recent = time.monotonic() - self._refused_at <= REFUSAL_SECONDS
        return self._refusal if self._refusal and is_recent else None
