"""OutboxSearch on a real SQLite file and a real PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from outboxes import mail, opened, run

from orderconfirm.models import Delivery, OutboxEntry, State
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.search import OutboxSearch
from orderconfirm.queries import Search


@pytest.fixture
def search(queue: OutboxQueue) -> OutboxSearch:
    """Six orders of the shops a and b, each accepted ten seconds after the one before."""
    orders = [("a", "1"), ("b", "1"), ("a", "2"), ("b", "3"), ("a", "4"), ("b", "5")]
    for second, (shop, order_id) in enumerate(orders):
        queue.add(replace(mail(order_id), shop=shop, recipient=f"{shop}@example.com"))
        run(
            queue,
            f"UPDATE outbox SET accepted_at = {1000 + 10 * second} WHERE shop = '{shop}' AND order_id = '{order_id}'",
        )
    run(queue, "UPDATE outbox SET state = 'sent', delivery = 'delivered' WHERE order_id = '1'")
    run(queue, "UPDATE outbox SET state = 'sent', delivery = 'bounced' WHERE order_id IN ('2', '3')")
    run(queue, "UPDATE outbox SET state = 'failed', delivery = 'bounced', possible_copies = 2 WHERE order_id = '4'")
    return OutboxSearch(queue._database)


def names(entries: list[OutboxEntry]) -> list[str]:
    return [f"{entry.shop}{entry.order_id}" for entry in entries]


def at(second: int) -> datetime:
    return datetime.fromtimestamp(1000 + second, UTC)


def test_a_search_finds_the_mails_that_match_all_criteria_newest_first(search: OutboxSearch) -> None:
    for criteria, found in (
        (Search(), ["b5", "a4", "b3", "a2", "b1", "a1"]),
        (Search(states=(State.SENT,)), ["b3", "a2", "b1", "a1"]),
        (Search(states=(State.SENT, State.QUEUED)), ["b5", "b3", "a2", "b1", "a1"]),
        (Search(deliveries=(Delivery.BOUNCED,)), ["a4", "b3", "a2"]),
        (Search(deliveries=(Delivery.BOUNCED, Delivery.DELIVERED)), ["a4", "b3", "a2", "b1", "a1"]),
        (Search(deliveries=(Delivery.BOUNCED,), states=(State.SENT,)), ["b3", "a2"]),
        (Search(order_id="1"), ["b1", "a1"]),
        (Search(order_id="1", recipient="A@example.com"), ["a1"]),
        (Search(order_id="4", states=(State.SENT,)), []),
        (Search(recipient="B@Example.com"), ["b5", "b3", "b1"]),
        (Search(recipient="b@example.com", deliveries=(Delivery.BOUNCED,)), ["b3"]),
        (Search(has_possible_copies=True), ["a4"]),
        (Search(has_possible_copies=True, states=(State.SENT,)), []),
        (Search(since=at(10), until=at(40)), ["b3", "a2", "b1"]),
        (Search(order_id="1", since=at(10)), ["b1"]),
        (Search(has_possible_copies=True, until=at(40)), []),
    ):
        assert names(search.page(None, criteria, None, 9)[0]) == found, criteria
        assert names(search.page("a", criteria, None, 9)[0]) == [name for name in found if name.startswith("a")]


def test_pages_of_all_shops_follow_each_other_without_gaps(search: OutboxSearch) -> None:
    for criteria in (
        Search(),
        Search(states=tuple(State)),
        Search(deliveries=tuple(Delivery)),
        Search(recipient="a@example.com"),
    ):
        whole, end = search.page(None, criteria, None, 9)
        pages, cursor = [], None
        for _ in range(len(whole) // 2 + len(whole) % 2):
            entries, cursor = search.page(None, criteria, cursor, 2)
            pages += entries
        assert (pages, cursor, end) == (whole, None, None)


def test_an_empty_outbox_has_no_shops_and_no_mails(url: str) -> None:
    with opened(url) as queue:
        assert OutboxSearch(queue._database).shops() == []
        assert OutboxSearch(queue._database).page(None, Search(), None, 9) == ([], None)


def test_each_shop_is_found_once(search: OutboxSearch) -> None:
    assert search.shops() == ["a", "b"]
    assert (search.shops("1"), search.shops("2"), search.shops("9")) == (["a", "b"], ["a"], [])
