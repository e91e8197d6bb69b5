"""Counters that several processes share: their sums, the death of a process, and a slot without room."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from orderconfirm.metrics import shared_counters
from orderconfirm.metrics.shared_counters import SLOT_CELLS, SLOTS, SharedCounters, free_slot
from orderconfirm.metrics.table import CONNECTIONS, ORDERS, REQUESTS, SEND_DURATION


@pytest.fixture
def counters() -> SharedCounters:
    return SharedCounters(SLOTS)


def test_the_counts_of_all_processes_are_added_up(counters: SharedCounters) -> None:
    for slot, amount in enumerate((1, 2, 4)):
        counters.use(slot)
        counters.add(ORDERS, amount=amount)
        counters.add(REQUESTS, ("/health", "GET", f"20{slot}"))
    assert counters.totals() == {
        (ORDERS, ()): [7],
        **{(REQUESTS, ("/health", "GET", f"20{slot}")): [1] for slot in range(3)},
    }


def test_a_process_goes_on_from_the_counts_of_the_one_before(counters: SharedCounters) -> None:
    counters.add(REQUESTS, ("/ünïcode/\U0001f4e6", "GET", "200"))
    counters.add(ORDERS)
    counters.use(0)
    counters.add(ORDERS)
    counters.add(REQUESTS, ("/ünïcode/\U0001f4e6", "GET", "200"))
    assert counters.totals() == {(ORDERS, ()): [2], (REQUESTS, ("/ünïcode/\U0001f4e6", "GET", "200")): [2]}


def test_a_gauge_of_a_process_that_has_ended_counts_no_longer(counters: SharedCounters) -> None:
    counters.set(CONNECTIONS, [4])
    counters.use(1)
    counters.set(CONNECTIONS, [3])
    assert counters.totals() == {(CONNECTIONS, ()): [7]}
    counters.use(0)
    assert counters.totals() == {(CONNECTIONS, ()): [3]}


def test_an_entry_that_a_killed_process_did_not_complete_is_replaced(counters: SharedCounters) -> None:
    counters.add(ORDERS)
    counters.observe(SEND_DURATION, 7.0)
    counters._cells[0] -= SEND_DURATION.size  # as if it had been killed before the entry was complete
    counters._cells[0] -= 1 + (len(b'["send_duration_seconds"]') + 7) // 8
    counters.use(0)
    assert counters.totals() == {(ORDERS, ()): [1]}
    counters.observe(SEND_DURATION, 0.05)
    [*counts, total] = counters.totals()[SEND_DURATION, ()]
    assert (counts[1], sum(counts), total) == (1, 1, 0.05)


def test_a_value_counts_in_the_first_bucket_that_holds_it(counters: SharedCounters) -> None:
    for value in (0.0, 0.025, 0.0251, 121.0):
        counters.observe(SEND_DURATION, value)
    [*counts, total] = counters.totals()[SEND_DURATION, ()]
    assert counts == [2, 1, *[0] * (len(SEND_DURATION.buckets) - 2), 1]
    assert total == pytest.approx(121.0501)


def test_no_count_of_several_threads_is_lost(counters: SharedCounters) -> None:
    def count(_: int) -> None:
        for _ in range(5000):
            counters.add(ORDERS)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, range(8)))
    assert counters.totals() == {(ORDERS, ()): [40_000]}


def test_samples_without_room_are_dropped_and_disturb_no_other(counters: SharedCounters) -> None:
    counters.use(SLOTS - 1)
    for number in range(SLOT_CELLS // 10):
        counters.observe(SEND_DURATION, 1.0, (str(number),))
    counters.use(SLOTS - 2)
    counters.add(ORDERS)
    kept = counters.totals()
    assert kept[ORDERS, ()] == [1]
    assert all(sum(numbers[:-1]) == 1 for key, numbers in kept.items() if key[0] is SEND_DURATION)
    assert 100 < len(kept) < SLOT_CELLS // 10


def test_a_new_worker_takes_the_slot_of_one_that_has_ended() -> None:
    assert free_slot([]) == 0
    assert free_slot([0, 2, 3]) == 1
    assert free_slot([1, 0]) == 2


def test_a_process_for_which_there_is_no_slot_counts_for_itself_alone(counters: SharedCounters) -> None:
    counters.add(ORDERS)
    counters.use(SLOTS)
    counters.add(ORDERS, amount=5)
    assert counters.totals() == {(ORDERS, ()): [5]}


def test_the_first_process_is_the_living_one_with_the_lowest_slot(counters: SharedCounters) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        counters.use(1)
        counters._cells[shared_counters.SLOTS] = other.pid
        assert not counters.is_first
        other.kill()
    assert counters.is_first
