"""Searches for mails: those that match some criteria, newest first and page by page, and the shops that have any."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from heapq import nlargest
from itertools import product
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, TextClause, bindparam, func, select, tuple_

from orderconfirm.models import OutboxEntry, State
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.rows import to_entry
from orderconfirm.outbox.sql import has_possible_copies, of_few_mails
from orderconfirm.outbox.tables import outbox
from orderconfirm.queries import Search

Condition = ColumnElement[bool] | TextClause
_mails = outbox.c

_same = outbox.alias("same")

_first_shop = select(func.min(_mails.shop).label("shop")).cte("shops", recursive=True)
#: Reads one index entry for each shop: DISTINCT would read all mails.
_all_shops = _first_shop.union_all(
    select(select(func.min(_mails.shop)).where(_mails.shop > _first_shop.c.shop).scalar_subquery()).where(
        _first_shop.c.shop.is_not(None)
    )
)
_SHOPS = select(_all_shops.c.shop).where(_all_shops.c.shop.is_not(None)).order_by(_all_shops.c.shop)
_has_order = select(_mails.id).where(_mails.shop == _all_shops.c.shop, _mails.order_id == bindparam("order_id"))
_SHOPS_OF = _SHOPS.where(_has_order.exists())

_BY_ID = select(outbox).where(_mails.id.in_(bindparam("ids", expanding=True)))


class OutboxSearch:
    """Reads lists of mails. Every method raises OutboxUnavailable when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self, shop: str | None, search: Search, cursor: str | None, limit: int
    ) -> tuple[list[OutboxEntry], str | None]:
        """Return a page of a shop's mails, or of all shops', and the cursor of the next page; None after the last.

        A cursor names the last mail of its page, so that mails accepted meanwhile do not shift the pages. Raises
        ValueError for a malformed cursor.
        """
        in_time = _in_time(search, _read_cursor(cursor) if cursor else None)
        with self._database.reading() as connection:
            shops = [shop] if shop is not None else _read_shops(connection)
            found = [
                (row.accepted_at, row.id)
                for conditions in _lists(search, shops)
                for row in connection.execute(_newest([*conditions, *in_time], limit + 1))
            ]
            newest = nlargest(limit + 1, found)
            page = newest[:limit]
            rows = connection.execute(_BY_ID, {"ids": [mail_id for _, mail_id in page]}).all()
        next_cursor = "{!r}_{}".format(*page[-1]) if len(newest) > limit else None
        by_id = {row.id: to_entry(row) for row in rows}
        return [by_id[mail_id] for _, mail_id in page], next_cursor

    def shops(self, order_id: str | None = None) -> list[str]:
        """Return every shop that placed an order, or one with this id."""
        with self._database.reading() as connection:
            return _read_shops(connection, order_id)


def _read_shops(connection: Connection, order_id: str | None = None) -> list[str]:
    statement, values = (_SHOPS, {}) if order_id is None else (_SHOPS_OF, {"order_id": order_id})
    return list(connection.execute(statement, values).scalars())


def _lists(search: Search, shops: Collection[str]) -> list[list[Condition]]:
    """Return the conditions of lists of mails that together are all that the search finds, except for its times.

    Each list either is in order in an index, or has few mails, which an index finds.
    """
    of_few: list[Condition] = []
    if search.states:
        of_few.append(of_few_mails(_mails.state).in_(search.states))
    if search.deliveries:
        of_few.append(of_few_mails(_mails.delivery).in_(search.deliveries))
    if search.has_possible_copies:
        of_few.append(has_possible_copies)
    by_recipient = [_mails.recipient == search.recipient.lower()] if search.recipient is not None else []
    if search.order_id is not None:
        # A subquery, because with a time as well SQLite would read the shop's mails in order of time.
        of_order = select(_same.c.id).where(_same.c.shop.in_(shops), _same.c.order_id == search.order_id)
        return [[_mails.id.in_(of_order), *by_recipient, *of_few]]
    if by_recipient:
        return [[_mails.shop == shop, *by_recipient, *of_few] for shop in shops]
    if search.has_possible_copies:
        return [[of_few_mails(_mails.shop).in_(shops), *of_few]]
    # An index has the mails of one state or delivery in order, but not those of several.
    states, deliveries = sorted(set(search.states)), sorted(set(search.deliveries))
    if deliveries:
        each = product(shops, deliveries, states or State)
        return [
            [_mails.shop == shop, _mails.delivery == delivery, _mails.state == state] for shop, delivery, state in each
        ]
    if states:
        return [[_mails.shop == shop, _mails.state == state] for shop, state in product(shops, states)]
    return [[_mails.shop == shop] for shop in shops]


def _in_time(search: Search, after: tuple[float, int] | None) -> list[Condition]:
    """Return the conditions on when mails were accepted: those of the search, and before (accepted_at, id) `after`."""
    conditions: list[Condition] = [_mails.erased_at.is_(None)]
    if search.since:
        conditions.append(_mails.accepted_at >= search.since.timestamp())
    ends = [end for end in (after, search.until and (search.until.timestamp(), 0)) if end]
    if ends:
        # With two upper bounds SQLite would read everything between them by time.
        conditions.append(tuple_(_mails.accepted_at, _mails.id) < min(ends))
    return conditions


def _newest(conditions: Iterable[Condition], limit: int) -> Select[Any]:
    newest_first = (_mails.accepted_at.desc(), _mails.id.desc())
    return select(_mails.accepted_at, _mails.id).where(*conditions).order_by(*newest_first).limit(limit)


def _read_cursor(cursor: str) -> tuple[float, int]:
    accepted_at, _, mail_id = cursor.partition("_")
    return float(accepted_at), int(mail_id)
