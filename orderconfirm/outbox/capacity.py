"""The limit on pending mails, and whether this process refuses orders."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from orderconfirm.outbox.sql import is_due, is_leased
from orderconfirm.outbox.tables import outbox

#: Seconds between two counts of a full outbox.
RECOUNT_SECONDS = 1.0
#: Seconds for which a refused order makes the process unready. It then becomes ready by itself, because a load
#: balancer sends no further orders to an unready process.
REFUSAL_SECONDS = 10.0

_limit: Any = bindparam("limit")
_due = select(outbox.c.id).where(*is_due).limit(_limit).subquery()
_leased = select(outbox.c.id).where(*is_leased).limit(_limit).subquery()
_PENDING = select(
    select(func.count()).select_from(_due).scalar_subquery()
    + select(func.count()).select_from(_leased).scalar_subquery()
)


class Capacity:
    """Room for up to `max_pending` pending mails."""

    def __init__(self, max_pending: int) -> None:
        self.max_pending = max_pending
        self._room = 0
        self._counted_at = 0.0
        self._refusal = ""
        self._refused_at = 0.0

    def take(self, connection: Connection) -> bool:
        """Take room for one mail. Returns False when there is none. Only the writing thread calls this.

        Other processes share the limit. So each count grants at most a hundredth of it, and the mails are counted again
        when that is used up.
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
        """Remember that a new order was stored, so that the cause of the last refusal is over."""
        self._refusal = ""

    @property
    def refusal(self) -> str | None:
        """Why this process refuses orders; None after it stored one, or REFUSAL_SECONDS after the last refusal."""
        is_recent = time.monotonic() - self._refused_at <= REFUSAL_SECONDS
        return self._refusal if self._refusal and is_recent else None
