"""A limit on the time that callers wait for a database that may not respond."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from orderconfirm.errors import DatabaseStuck

T = TypeVar("T")


class TimeLimited(Generic[T]):
    """A function that runs in a thread of its own, at most once at a time.

    Callers that come while it runs get the same result, so that they do not pile up while the database hangs.
    """

    def __init__(self, function: Callable[[], T], seconds: float) -> None:
        self._function = function
        self._seconds = seconds
        self._lock = threading.Lock()
        self._future: Future[T] | None = None

    def __call__(self) -> T:
        """Return the function's result or raise its exception. Raises DatabaseStuck after `seconds`."""
        with self._lock:
            if self._future is None:
                self._future = Future()
                threading.Thread(target=self._run, args=(self._future,), name="time-limited", daemon=True).start()
            future = self._future
        try:
            return future.result(self._seconds)
        except TimeoutError:
            raise DatabaseStuck(f"the database did not respond within {self._seconds:g} s") from None

    def _run(self, future: Future[T]) -> None:
        try:
            result = self._function()
        except Exception as exc:
            self._end()
            future.set_exception(exc)
        else:
            self._end()
            future.set_result(result)

    def _end(self) -> None:
        with self._lock:
            self._future = None
