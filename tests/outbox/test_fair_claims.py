"""Which mails a claim gets when several shops and relay accounts have due ones, on both databases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
from outboxes import mail, opened, run, settle

from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retry import RELEASED


def account_of(shop: str) -> str:
    """The shops whose names begin with `own` have a relay account of their own."""
    return "own" if shop.startswith("own") else ""


@pytest.fixture
def queue(url: str) -> Iterator[OutboxQueue]:
    with opened(url) as queue:
        yield OutboxQueue(queue._database, 1000, account_of=account_of)


def add(queue: OutboxQueue, **counts: int) -> None:
    for shop, count in counts.items():
        for number in range(count):
            queue.add(replace(mail(f"{shop}-{number}"), shop=shop))


def claim(queue: OutboxQueue, limits: Mapping[str, int]) -> Counter[str]:
    """Return how many mails of each shop a claim gets."""
    return Counter(each.shop for each in queue.exchange([], limits, 60).claimed)


def test_each_shop_gets_an_equal_part_and_what_one_does_not_need_goes_to_the_others(queue: OutboxQueue) -> None:
    add(queue, large=40, medium=20, small=2)
    assert claim(queue, {"": 12}) == {"large": 5, "medium": 5, "small": 2}
    assert claim(queue, {"": 30}) == {"large": 15, "medium": 15}
    assert claim(queue, {"": 30}) == {"large": 20}


def test_a_shop_with_one_mail_does_not_wait_for_the_backlog_of_another(queue: OutboxQueue) -> None:
    add(queue, a=30, b=1)
    assert claim(queue, {"": 2}) == {"a": 1, "b": 1}


def test_shops_take_turns_when_there_is_room_for_one_mail_at_a_time(queue: OutboxQueue) -> None:
    add(queue, a=10, b=10, c=10)
    assert sum((claim(queue, {"": 1}) for _ in range(9)), Counter()) == {"a": 3, "b": 3, "c": 3}


def test_each_account_gets_only_mails_of_its_shops(queue: OutboxQueue) -> None:
    add(queue, a=5, own1=5, own2=5)
    assert claim(queue, {"": 0, "own": 4}) == {"own1": 2, "own2": 2}
    assert claim(queue, {"": 10}) == {"a": 5}
    assert claim(queue, {"": 10, "own": 10}) == {"own1": 3, "own2": 3}


def test_the_mails_of_a_shop_are_claimed_in_the_order_in_which_they_became_due(queue: OutboxQueue) -> None:
    add(queue, a=3, b=1)
    run(queue, "UPDATE outbox SET due_at = due_at - 60 WHERE order_id = 'a-2'")
    run(queue, "UPDATE outbox SET due_at = due_at + 60 WHERE order_id = 'b-0'")
    claimed = queue.exchange([], {"": 2}, 60).claimed
    assert [each.order_id for each in claimed] == ["a-2", "a-0"]


def test_the_next_due_mail_is_that_of_the_accounts_asked_for(queue: OutboxQueue) -> None:
    add(queue, a=1, own1=1)
    run(queue, "UPDATE outbox SET due_at = due_at + 100 WHERE shop = 'a'")
    assert queue.seconds_to_next(["own"]) == 0
    assert 90 < (queue.seconds_to_next([""]) or 0) <= 100
    [claimed] = queue.exchange([], {"own": 1}, 60).claimed
    assert queue.seconds_to_next(["own"]) is None
    settle(queue, claimed, RELEASED)
    assert queue.seconds_to_next(["", "own"]) == 0
