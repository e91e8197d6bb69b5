"""gunicorn's hooks, apart from what tests/test_start.py and tests/server/test_lifecycle.py see of them."""

from __future__ import annotations

import threading

from orderconfirm.server.hooks import _kept_alive


class Worker:
    """A worker that counts its signs of life."""

    def __init__(self) -> None:
        self.signs = threading.Semaphore(0)

    def notify(self) -> None:
        self.signs.release()


def test_a_worker_shows_that_it_lives_for_as_long_as_its_start_takes() -> None:
    worker = Worker()
    with _kept_alive(worker):
        for _ in range(3):
            assert worker.signs.acquire(timeout=10)
