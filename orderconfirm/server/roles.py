"""The roles of worker processes: one may send the mails of all others and handle no requests.

gunicorn's master imports this module, and its workers inherit `remote_sender`.
"""

from __future__ import annotations

import math
import mmap
import os
import select
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from orderconfirm.metrics.shared_counters import free_slot

#: The monotonic time of the dispatcher's last round.
_STATUS = struct.Struct("=d")


class RemoteSender:
    """The interface to the sender process's dispatcher. All processes share its memory and its pipe."""

    def __init__(self) -> None:
        self._status = mmap.mmap(-1, _STATUS.size)
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    @property
    def seconds_since_last_round(self) -> float:
        """Seconds since the last completed round, to a second. It also grows while there is no sender process."""
        return time.monotonic() - float(_STATUS.unpack_from(self._status)[0])

    def wake(self) -> None:
        """Make the sender process look for due mails now."""
        with suppress(BlockingIOError):  # a full pipe wakes it anyway
            os.write(self._writer, b"\0")

    def wait(self, other_file: int, seconds: float) -> bool:
        """Wait, in the sender process, until there may be due mails (return True) or `other_file` is readable."""
        readable, _, _ = select.select([self._reader, other_file], [], [], seconds)
        if self._reader not in readable:
            return False
        with suppress(BlockingIOError):
            os.read(self._reader, 65536)
        return True

    def report(self, seconds_since_last_round: float) -> None:
        """Publish the sender's status to the other processes."""
        _STATUS.pack_into(self._status, 0, time.monotonic() - seconds_since_last_round)


remote_sender = RemoteSender()


def assign_slot(server: Any, worker: Any) -> None:
    """Give a new worker the counters of one that has ended, or new ones."""
    worker.slot = free_slot({other.slot for other in server.WORKERS.values()})


def make_sender(server: Any, worker: Any) -> None:
    """Make a new worker the sender if there is none."""
    worker.is_sender = not any(other.is_sender for other in server.WORKERS.values())
    if worker.is_sender:
        worker.age = math.inf  # gunicorn stops the oldest worker first when there are too many


def retire_sender(server: Any) -> None:
    """Make the next new worker the sender, and let the current sender be stopped first."""
    for worker in server.WORKERS.values():
        if worker.is_sender:
            worker.is_sender, worker.age = False, 0


def remove_worker(server: Any, remove: Callable[[], None]) -> None:
    """Let `remove` stop a worker, unless it is the last one that handles requests."""
    if server.num_workers > 1 + any(worker.is_sender for worker in server.WORKERS.values()):
        remove()
