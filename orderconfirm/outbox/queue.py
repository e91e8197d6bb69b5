"""The queue of mails: add an order's mail; claim, settle and reclaim mails (SQL: `fair_claims` and `leases`)."""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from orderconfirm.errors import OutboxFull, OutboxUnavailable, UnconfirmedWrite
from orderconfirm.models import ClaimedMail, Event, NewMail, State
from orderconfirm.outbox.additions import Addition, Additions, AddResult
from orderconfirm.outbox.callback_events import no_callbacks
from orderconfirm.outbox.capacity import Capacity
from orderconfirm.outbox.causes import Cause
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.fair_claims import ClaimRequest, FairClaims, shops_with_mails
from orderconfirm.outbox.leases import FinishedAttempt, Leases, ReclaimRequest
from orderconfirm.outbox.merchant_copies import CopyClaims
from orderconfirm.outbox.retry import Outcome
from orderconfirm.outbox.rows import to_claimed
from orderconfirm.outbox.tables import merchant_copies, outbox
from orderconfirm.queries import COMMON_ACCOUNT

log = logging.getLogger(__name__)

_SHOPS = shops_with_mails(outbox)
_SHOPS_WITH_COPIES = shops_with_mails(merchant_copies)
_NO_COPIES: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Exchange:
    """The results of recording finished attempts and of a claim.

    `settled` has an element for each attempt: False, and nothing was changed, when the lease had been lost; an
    OutboxUnavailable when the database failed. `failure` is the reason why nothing could be claimed.
    """

    settled: list[bool | Exception]
    claimed: list[ClaimedMail]
    failure: Exception | None


class OutboxQueue:
    """The outbox as a queue. Every write is committed when its method returns.

    The methods raise OutboxUnavailable when the database fails.
    """

    def __init__(
        self,
        database: Database,
        max_pending: int,
        wakes_others: bool = False,
        account_of: Callable[[str], str] = lambda shop: COMMON_ACCOUNT,
        has_callback: Callable[[str], bool] = no_callbacks,
    ) -> None:
        """`max_pending` is how many mails may wait; further ones are refused with OutboxFull.

        `account_of` returns the relay account of a shop.
        With `wakes_others`, new mails wake the senders of other machines, if they share a PostgreSQL database.
        `has_callback` is whether a shop's events are posted to it.
        """
        self._database = database
        self._capacity = Capacity(max_pending)
        notifies = wakes_others and database.dialect == "postgresql"
        self._additions = Additions(database, self._capacity, notifies, has_callback)
        self._account_of = account_of
        self._claims = FairClaims(database, account_of, outbox)
        self._copy_claims = CopyClaims(database, account_of)
        self._leases = Leases(database, has_callback)
        #: Tokens of unconfirmed claims: this process may hold leases without knowing for which mails.
        self._unconfirmed_tokens: set[str] = set()

    @property
    def max_pending(self) -> int:
        """How many mails may be pending."""
        return self._capacity.max_pending

    @property
    def refusal(self) -> str | None:
        """Why this process refuses orders, or None."""
        return self._capacity.refusal

    def add(self, mail: NewMail) -> AddResult:
        """Add an order's mail, due at once or held. When its (shop, order_id) is known, nothing changes.

        The idempotency key is stored unless the known order differs. Raises KeyConflict when another request used that
        key, OutboxFull when too many mails are pending.
        """
        try:
            result: AddResult | None = self._database.write_order(self._additions.add_all, Addition.of(mail))
            if result is None:
                raise OutboxFull(f"{self.max_pending} mails are already pending (OUTBOX_MAX_PENDING)")
        except OutboxUnavailable as exc:
            self._capacity.note_refusal(str(exc))
            raise
        if result.is_new:
            self._capacity.note_acceptance()
        return result

    def exchange(
        self,
        finished_attempts: Sequence[FinishedAttempt],
        limits: Mapping[str, int],
        lease_seconds: float,
        copy_limits: Mapping[str, int] = _NO_COPIES,
    ) -> Exchange:
        """Record finished attempts, and lease due mails for `lease_seconds`: for each relay account up to its limit.

        Each shop gets a fair share of the leases, and of its mails those that have been due longest. Then merchants'
        copies are leased, up to `copy_limits` together with the mails.

        No other process gets the leased mails before their lease ends. An unreadable row fails alone. Never raises:
        database failures are in the result.
        """
        # One token for the mails and one for the copies: a mail and its copy have the same id.
        tokens = [secrets.token_hex(16), secrets.token_hex(16)]
        limits = {account: limit for account, limit in limits.items() if limit > 0}
        owner = self._database.process_locks.owner
        requests = [
            ClaimRequest(token, owner, lease_seconds, each)
            for token, each in zip(tokens, (limits, copy_limits), strict=True)
        ]
        claim = [(self._claim_all, requests)] if limits else []
        results = self._database.write_all([*((self._leases.settle_all, each) for each in finished_attempts), *claim])
        rows = results.pop() if claim else ([], [])
        if isinstance(rows, UnconfirmedWrite):
            # Some mails may be leased to this process without its knowledge. `reclaim_abandoned` releases them.
            self._unconfirmed_tokens.update(tokens)
        if isinstance(rows, Exception):
            return Exchange(results, [], rows)
        read = [self._read(row, is_copy) for is_copy, part in zip((False, True), rows, strict=True) for row in part]
        return Exchange(results, list(filter(None, read)), None)

    def reclaim_abandoned(self, own_tokens: Collection[str], trusts_clock: bool, holds: bool) -> list[str]:
        """Reclaim the mails of processes that died while sending, and those whose lease has expired.

        `own_tokens` are the leases of mails that this process is sending; leases expire only if `trusts_clock`. With
        `holds`, mails that may arrive twice are held for a person; otherwise they are due at once. Returns the order
        ids of the mails that may arrive twice. Leased mails of which no send had begun are released as well.
        """
        unconfirmed = set(self._unconfirmed_tokens)
        request = ReclaimRequest(own_tokens, unconfirmed, trusts_clock, holds)
        order_ids: list[str] = self._database.write(lambda connection: self._leases.reclaim(connection, request))
        self._unconfirmed_tokens -= unconfirmed
        return order_ids

    def seconds_to_next(self, accounts: Container[str], copy_accounts: Container[str] = ()) -> float | None:
        """Return the seconds until the next mail is due; None when none waits.

        Only mails of the relay `accounts` count, and copies of the `copy_accounts`.
        """
        of_tables = ((_SHOPS, accounts), (_SHOPS_WITH_COPIES, copy_accounts))
        with self._database.reading() as connection:
            waits = [
                row.wait
                for statement, wanted in of_tables
                for row in connection.execute(statement)
                if self._account_of(row.shop) in wanted
            ]
        return max(0.0, min(waits)) if waits else None

    def _claim_all(
        self, connection: Connection, requests: Sequence[Sequence[ClaimRequest]]
    ) -> list[tuple[list[Any], list[Any]]]:
        return [self._claim(connection, *each) for each in requests]

    def _claim(self, connection: Connection, mails: ClaimRequest, copies: ClaimRequest) -> tuple[list[Any], list[Any]]:
        """Lease mails, and copies with the connections that are left. Returns the rows of both."""
        rows = self._claims.claim(connection, mails)
        claimed = Counter(self._account_of(row.shop) for row in rows)
        left = {account: limit - claimed[account] for account, limit in copies.limits.items()}
        left = {account: limit for account, limit in left.items() if limit > 0}
        return rows, self._copy_claims.claim(connection, replace(copies, limits=left)) if left else []

    def _read(self, row: Any, is_copy: bool) -> ClaimedMail | None:
        try:
            return to_claimed(row, is_copy)
        except (TypeError, ValueError, OverflowError, OSError) as exc:
            log.error("a row of the outbox cannot be read", extra={"row": row.id, "reason": str(exc)})
            reason = f"the stored order cannot be read: {exc}"
            damaged = Outcome(State.FAILED, Event.FAILED, reason, cause=Cause.NOT_RENDERED)
            # If this fails, the row is claimed again when its lease ends.
            finished = FinishedAttempt(row.id, row.lease_token, row.shop, damaged, is_copy=is_copy)
            self._database.write_all([(self._leases.settle_all, finished)])
            return None
