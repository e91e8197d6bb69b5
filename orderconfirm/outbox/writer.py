"""One thread that does all of this process's writes and commits together whatever waits.

Eight connections of their own starve each other for seconds on SQLite's lock; one writer that groups does not, and on a
disk with a slow flush it is what keeps the rate up.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from orderconfirm.errors import OutboxUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")
Job = tuple[Callable[[Connection], object], "Future[object]"]

#: Jobs in one commit, at most.
GROUP_SIZE = 64
#: Seconds that a caller waits for its commit.
PATIENCE = 10.0
#: How often a job is tried whose transaction had to give in to another's.
TRIES = 4
#: PostgreSQL's deadlock_detected and serialization_failure.
_GIVE_IN = ("40P01", "40001")
#: Seconds after which a commit under way is stuck, and nobody else waits behind it.
STUCK = 3.0


class Writer:
    """Runs jobs on the writing connection, each all or nothing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._began: float | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="outbox-writer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish what waits, then end the thread."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(PATIENCE)
            self._thread = None

    def do(self, job: Callable[[Connection], T]) -> T:
        """Run `job` in a transaction and return its result once that is committed.

        `job` may run several times (a group that fails is repeated one by one), so it must do nothing but SQL. Raises
        OutboxUnavailable when the database did not take it.
        """
        if self._thread is None:
            raise OutboxUnavailable("the outbox is not open")
        began = self._began
        if began is not None and time.monotonic() - began > STUCK:
            raise OutboxUnavailable("the database is locked or stuck")
        done: Future[object] = Future()
        self._jobs.put((job, done))
        try:
            return done.result(PATIENCE)  # type: ignore[return-value]
        except FutureTimeout as late:
            done.cancel()
            raise OutboxUnavailable(f"the database did not answer in {PATIENCE:.0f} s") from late

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            group, is_last = self._gather(first)
            self._began = time.monotonic()
            self._commit(group)
            self._began = None
            if is_last:
                return

    def _gather(self, first: Job) -> tuple[list[Job], bool]:
        group = [first]
        while len(group) < GROUP_SIZE:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return group, True
            group.append(job)
        return group, False

    def _commit(self, group: list[Job], tries: int = TRIES) -> None:
        group = [(job, done) for job, done in group if not done.cancelled()]
        try:
            with self._engine.begin() as connection:
                results = [job(connection) for job, _ in group]
        except Exception as failure:
            if len(group) > 1:
                for job in group:
                    self._commit([job])
            elif group and tries > 1 and _is_passing(failure):
                self._commit(group, tries - 1)
            elif group:
                _settle(group[0][1], error=_translated(failure))
            return
        for (_, done), result in zip(group, results, strict=True):
            _settle(done, result)


def _settle(done: Future[object], result: object = None, error: Exception | None = None) -> None:
    """Hand over an outcome, unless the caller stopped waiting for it."""
    if not done.set_running_or_notify_cancel():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)


def _is_passing(failure: Exception) -> bool:
    """Two processes on PostgreSQL stood in each other's way, and the server chose this one to give in."""
    return isinstance(failure, DBAPIError) and getattr(failure.orig, "sqlstate", None) in _GIVE_IN


def _translated(failure: Exception) -> Exception:
    if isinstance(failure, DBAPIError):
        log.error("the database refused a write", extra={"reason": str(failure.orig)})
        translated: Exception = OutboxUnavailable(str(failure.orig))
    elif isinstance(failure, SQLAlchemyError):
        translated = OutboxUnavailable(str(failure))
    else:
        return failure
    translated.__cause__ = failure
    return translated
