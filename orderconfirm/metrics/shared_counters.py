"""Counters in memory that all processes of a service share, so that the death of a process loses no count.

Each process counts in a slot of its own, without waiting for the others, and a reader adds up all slots. When a process
ends, its slot keeps its counts; the process that takes its place goes on from there.
"""

from __future__ import annotations

import json
import mmap
import os
import threading
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, count
from typing import TypeVar

from orderconfirm.metrics.table import ALL, BY_NAME, Metric

K = TypeVar("K")
Key = tuple[Metric, tuple[str, ...]]

#: Maximum number of processes of a service. A reload has old and new ones at once.
SLOTS = 256
#: Cells of 8 bytes for each process. Memory that is never used costs nothing.
SLOT_CELLS = 16384
#: For samples that find no room. Nobody reads them.
_SCRATCH_CELLS = max(metric.size for metric in ALL)


class SharedCounters:
    """The service's counters. Create it before the fork; each process then calls `use`.

    A slot is a list of entries: the length of a key, the key as JSON, and the numbers of its sample. Before the slots
    are the number of used cells of each, which grows when an entry is complete, and the process that uses it.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._allocate()
        self.use(0)

    def _allocate(self) -> None:
        self._bytes = memoryview(mmap.mmap(-1, 8 * (self._slots * (2 + SLOT_CELLS) + _SCRATCH_CELLS)))
        self._cells = self._bytes.cast("d")

    def use(self, slot: int) -> None:
        """Count in `slot`, which no other living process may use; beyond the last slot, for this process alone."""
        if slot >= self._slots:
            self._allocate()
            slot = 0
        self._slot = slot
        self._lock = threading.Lock()
        self._cells[self._slots + slot] = os.getpid()
        self._places = dict(self._entries(slot))
        for (metric, _), place in self._places.items():
            if metric.kind == "gauge":
                self._cells[place] = 0.0  # that of the process before

    def leave(self) -> None:
        """Let another process be the first one. The counts stay."""
        self._cells[self._slots + self._slot] = 0.0

    @property
    def is_first(self) -> bool:
        """Whether this process has the lowest slot of those that live."""
        return not any(_lives(int(self._cells[self._slots + slot])) for slot in range(self._slot))

    def add(self, metric: Metric, labels: tuple[str, ...] = (), amount: float = 1.0) -> None:
        """Add to a counter."""
        with self._lock:
            self._cells[self._place(metric, labels)] += amount

    def observe(self, metric: Metric, value: float, labels: tuple[str, ...] = ()) -> None:
        """Count a value in a histogram."""
        buckets = metric.buckets
        with self._lock:
            place = self._place(metric, labels)
            self._cells[place + bisect_left(buckets, value)] += 1.0
            self._cells[place + len(buckets) + 1] += value

    def set(self, metric: Metric, numbers: Sequence[float], labels: tuple[str, ...] = ()) -> None:
        """Set this process's part of a sample."""
        with self._lock:
            place = self._place(metric, labels)
            for offset, number in enumerate(numbers):
                self._cells[place + offset] = number

    def totals(self) -> dict[Key, list[float]]:
        """Return the sums over all processes, those that have ended included."""
        entries = chain.from_iterable(map(self._entries, range(self._slots)))
        return added_up((key, self._cells[place : place + key[0].size]) for key, place in entries)

    def _place(self, metric: Metric, labels: tuple[str, ...]) -> int:
        """Return the cell at which a sample of this process begins."""
        place = self._places.get((metric, labels))
        if place is None:
            place = self._places[metric, labels] = self._add_entry(metric, labels)
        return place

    def _add_entry(self, metric: Metric, labels: tuple[str, ...]) -> int:
        key = json.dumps([metric.name, *labels]).encode()
        start = self._first_cell(self._slot) + int(self._cells[self._slot])
        place = _after_key(start, len(key))
        end = place + metric.size
        if end > self._first_cell(self._slot + 1):
            return self._first_cell(self._slots)
        self._cells[start] = len(key)
        self._bytes[8 * (start + 1) : 8 * (start + 1) + len(key)] = key
        for cell in range(place, end):
            self._cells[cell] = 0.0  # a process may have been killed here
        self._cells[self._slot] = end - self._first_cell(self._slot)
        return place

    def _first_cell(self, slot: int) -> int:
        return 2 * self._slots + slot * SLOT_CELLS

    def _entries(self, slot: int) -> Iterator[tuple[Key, int]]:
        """Yield the complete entries of a slot: each key, and the cell at which its sample begins."""
        start = self._first_cell(slot)
        end = start + int(self._cells[slot])
        while start < end:
            length = int(self._cells[start])
            name, *labels = json.loads(bytes(self._bytes[8 * (start + 1) : 8 * (start + 1) + length]))
            metric, place = BY_NAME[name], _after_key(start, length)
            yield (metric, tuple(labels)), place
            start = place + metric.size


def added_up(samples: Iterable[tuple[K, Sequence[float]]]) -> dict[K, list[float]]:
    """Return the sum of the samples of each key, number by number."""
    sums: dict[K, list[float]] = {}
    for key, numbers in samples:
        sums[key] = [a + b for a, b in zip(sums[key], numbers, strict=True)] if key in sums else [*numbers]
    return sums


def free_slot(taken: Collection[int]) -> int:
    """Return the lowest slot that is not `taken`."""
    return next(slot for slot in count() if slot not in taken)


def _after_key(start: int, length: int) -> int:
    return start + 1 + -(-length // 8)


def _lives(process: int) -> bool:
    with suppress(OSError):
        if process:
            os.kill(process, 0)
            return True
    return False
