"""The thread that does all writes of a process, and commits waiting ones as one transaction.

Several writing connections would only compete for SQLite's lock, and one flush for many writes keeps the rate high. A
caller that stops waiting withdraws its write, because a write that it reports as failed must never be stored later.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from orderconfirm.errors import OutboxUnavailable, UnconfirmedWrite

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Writes in one commit, at most.
MAX_GROUP = 64
#: Seconds that a caller waits for its write, and then again for the end of a commit that has begun.
WRITE_TIMEOUT = 10.0
#: Attempts of a write whose transaction the server rolled back in favour of another one.
MAX_TRIES = 4
#: PostgreSQL's deadlock_detected and serialization_failure.
_ROLLED_BACK_FOR_ANOTHER = ("40P01", "40001")
#: SQLSTATEs, and prefixes of them, after which a COMMIT may have been carried out: connection exceptions, operator
#: intervention, statement_completion_unknown.
_COMMIT_UNKNOWN = ("08", "57P", "40003")
#: SQLite's errors after which a COMMIT has changed nothing.
_SQLITE_NOT_COMMITTED = ("SQLITE_FULL", "SQLITE_BUSY", "SQLITE_CONSTRAINT")
#: Seconds after which a running transaction counts as stuck, and new writes are refused at once.
STUCK_SECONDS = 3.0


@dataclass(eq=False, slots=True)
class _Write:
    """A job and its result. The caller may withdraw it until its commit begins."""

    job: Callable[[Connection], object]
    done: Future[object] = field(default_factory=Future)
    is_withdrawn: bool = False
    is_committing: bool = False

    def is_done_within(self, seconds: float) -> bool:
        try:
            self.done.exception(seconds)
        except FutureTimeout:
            return False
        return True


class _Withdrawn(Exception):
    """A caller withdrew its write during the transaction, which must therefore be rolled back."""


class Writer:
    """The writing thread and its queue of jobs, each of which is written completely or not at all."""

    def __init__(self, engine: Engine, timeout: float = WRITE_TIMEOUT) -> None:
        """`timeout`, in seconds, is how long a caller waits for its write, and for a commit that has begun."""
        self._engine = engine
        self._timeout = timeout
        self._waiting: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._began_at: float | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="outbox-writer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the waiting writes, then end the thread."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(self._timeout)
            self._thread = None

    def do(self, job: Callable[[Connection], T]) -> T:
        """Run `job` in a transaction and return its result after the commit.

        `job` may run several times (the jobs of a failed group are repeated one by one), so it must do nothing but SQL.
        Raises OutboxUnavailable when nothing was written, and UnconfirmedWrite when the commit's outcome is unknown.
        """
        if self._thread is None:
            raise OutboxUnavailable("the outbox is not open")
        began_at = self._began_at
        if began_at is not None and time.monotonic() - began_at > STUCK_SECONDS:
            raise OutboxUnavailable("the database is locked or stuck")
        write = _Write(job)
        self._waiting.put(write)
        if not write.is_done_within(self._timeout) and self._withdraw(write):
            raise OutboxUnavailable(f"the database did not answer in {self._timeout:g} s")
        if not write.is_done_within(self._timeout):
            raise UnconfirmedWrite(f"the database did not end the commit in {self._timeout:g} s")
        return write.done.result()  # type: ignore[return-value]

    def _withdraw(self, write: _Write) -> bool:
        """Withdraw `write`, so that it is never committed. Returns False if its commit has begun."""
        with self._lock:
            write.is_withdrawn = not write.is_committing
            return write.is_withdrawn

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            self._began_at = time.monotonic()
            self._commit([first], takes_more=True)
            self._began_at = None

    def _commit(self, group: list[_Write], tries: int = MAX_TRIES, takes_more: bool = False) -> None:
        is_committing = False
        try:
            with self._engine.begin() as connection:
                # After BEGIN, which may have waited for another process: callers may have come or withdrawn meanwhile.
                group = self._not_withdrawn([*group, *(self._take_waiting() if takes_more else ())])
                results = [write.job(connection) for write in group]
                self._begin_commit(group)
                is_committing = True
        except _Withdrawn:
            self._commit(group, tries)
        except Exception as exc:
            if is_committing and _is_outcome_unknown(exc):
                for write in group:
                    _fail(write, UnconfirmedWrite(f"the commit was interrupted: {_reason(exc)}"), exc)
            elif len(group) > 1:
                for write in group:
                    self._commit([write])
            elif tries > 1 and _is_transient(exc):
                self._commit(group, tries - 1)
            elif group:
                _fail(group[0], _translated(exc), exc)
        else:
            for write, result in zip(group, results, strict=True):
                write.done.set_result(result)

    def _take_waiting(self) -> list[_Write]:
        taken: list[_Write] = []
        while len(taken) < MAX_GROUP - 1:
            try:
                write = self._waiting.get_nowait()
            except queue.Empty:
                break
            if write is None:  # `_run` must see the end after this group
                self._waiting.put(None)
                break
            taken.append(write)
        return taken

    def _not_withdrawn(self, group: list[_Write]) -> list[_Write]:
        with self._lock:
            for write in group:
                write.is_committing = False
            return [write for write in group if not write.is_withdrawn]

    def _begin_commit(self, group: list[_Write]) -> None:
        """Prevent further withdrawals. Raises _Withdrawn if a write of the group was withdrawn."""
        with self._lock:
            if any(write.is_withdrawn for write in group):
                raise _Withdrawn
            for write in group:
                write.is_committing = True


def _fail(write: _Write, error: Exception, cause: Exception) -> None:
    if error is not cause:
        log.error("the database refused a write", extra={"reason": str(error)})
        error.__cause__ = cause
    write.done.set_exception(error)


def _is_transient(exc: Exception) -> bool:
    """Whether PostgreSQL rolled the transaction back because of a conflict with another one."""
    return isinstance(exc, DBAPIError) and getattr(exc.orig, "sqlstate", None) in _ROLLED_BACK_FOR_ANOTHER


def _is_outcome_unknown(exc: Exception) -> bool:
    """Whether a COMMIT that failed with `exc` may nevertheless have been carried out."""
    orig = getattr(exc, "orig", None)
    if name := getattr(orig, "sqlite_errorname", ""):
        return not name.startswith(_SQLITE_NOT_COMMITTED)
    sqlstate = getattr(orig, "sqlstate", None)
    return sqlstate is None or sqlstate.startswith(_COMMIT_UNKNOWN)


def _reason(exc: Exception) -> str:
    return str(getattr(exc, "orig", None) or exc)


def _translated(exc: Exception) -> Exception:
    # An OSError comes from the turnstile's lock file.
    return OutboxUnavailable(_reason(exc)) if isinstance(exc, SQLAlchemyError | OSError) else exc
