"""The thread that does all writes of a process, and commits waiting ones as one transaction.

Several writing connections would only compete for SQLite's lock, and one flush serves many writes. A caller that stops
waiting withdraws its write, because a write that it reports as failed must never be stored later.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from orderconfirm.errors import DatabaseStuck, OutboxUnavailable, UnconfirmedWrite
from orderconfirm.metrics import counters
from orderconfirm.metrics.table import DATABASE_ERRORS
from orderconfirm.outbox.sqlite_files import SqliteFiles

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Maximum number of writes in one commit.
MAX_GROUP = 256
#: Seconds that a caller waits for its write, and then again for the end of a commit that has begun.
WRITE_TIMEOUT = 10.0
#: Maximum attempts at a write whose transaction the server rolls back because of another one.
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


#: Carries out writes of one kind in a transaction, each described by an item, and returns their results in order. A
#: result that is an exception is raised in the caller of that write: it must have changed nothing.
Operation = Callable[[Connection, Sequence[T]], Sequence[object]]


def run_jobs(connection: Connection, jobs: Sequence[Callable[[Connection], object]]) -> list[object]:
    """Carry out writes that have no operation of their own, one after the other."""
    return [job(connection) for job in jobs]


class _Write:
    """An item, its operation and its result. The caller may withdraw it until its commit begins."""

    __slots__ = ("_done", "is_committing", "is_done", "is_order", "is_withdrawn", "item", "operation", "result")

    def __init__(self, operation: Operation[Any], item: Any, is_order: bool) -> None:
        self.operation = operation
        self.item = item
        self.is_order = is_order
        self.is_withdrawn = self.is_committing = self.is_done = False
        self.result: Any = None
        # A lock takes a tenth of a Future's time, and each order needs one.
        self._done = threading.Lock()
        self._done.acquire()

    def conclude(self, result: Any) -> None:
        """Set the result, which may be an exception."""
        self.result = result
        self.is_done = True
        self._done.release()

    def is_done_by(self, deadline: float) -> bool:
        """Wait until the monotonic time `deadline`; return whether the write is done."""
        return self.is_done or self._done.acquire(timeout=max(0.0, deadline - time.monotonic()))


class _Withdrawn(Exception):
    """A caller withdrew its write during the transaction, which must therefore be rolled back."""


class Writer:
    """The writing thread and its queue of writes, each of which is carried out completely or not at all."""

    def __init__(
        self,
        engine: Engine,
        timeout: float = WRITE_TIMEOUT,
        files: SqliteFiles | None = None,
        order_timeouts: tuple[float, float] | None = None,
    ) -> None:
        """A caller waits `timeout` seconds for its writes, and as long again for a commit that has begun.

        `order_timeouts` replace these two times for orders. `files` are checked before and after each transaction.
        """
        self._engine = engine
        self._timeout = timeout
        self._order_timeouts = order_timeouts
        self._files = files
        #: Writes that must be committed together if possible, and None at the end.
        self._waiting: queue.SimpleQueue[list[_Write] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._began_at: float | None = None

    @property
    def is_running(self) -> bool:
        return self._thread is not None

    @property
    def has_died(self) -> bool:
        """Whether the thread has ended without `stop`."""
        return self._thread is not None and not self._thread.is_alive()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="outbox-writer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the waiting writes, then end the thread."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(self._timeout)
            self._thread = None

    def do_all(self, writes: Sequence[tuple[Operation[Any], Any]], is_order: bool = False) -> list[Any]:
        """Carry out writes, in one transaction if possible, and return their results in order after the commit.

        The result of a write that failed is an exception: OutboxUnavailable when nothing was written, UnconfirmedWrite
        when the commit's outcome is unknown, or what its operation returned or raised. Operations may run several times
        (the writes of a failed group are repeated one by one), so they must do nothing but SQL. With `is_order`, a
        shop gets the response that they are stored.
        """
        pending = [_Write(operation, item, is_order) for operation, item in writes]
        refusal = self._refusal()
        if refusal is None:
            self._waiting.put(pending)
        timeouts = self._order_timeouts if is_order and self._order_timeouts else (self._timeout, self._timeout)
        began = time.monotonic()
        results = [refusal or self._wait_for(write, began, *timeouts) for write in pending]
        if failed := sum(isinstance(result, OutboxUnavailable) for result in results):
            counters.add(DATABASE_ERRORS, ("write",), failed)
        return results

    def _refusal(self) -> OutboxUnavailable | None:
        began_at = self._began_at
        if self._thread is None:
            return OutboxUnavailable("the outbox is not open")
        is_stuck = began_at is not None and time.monotonic() - began_at > STUCK_SECONDS
        return DatabaseStuck("the database is locked or stuck") if is_stuck else None

    def _wait_for(self, write: _Write, began: float, timeout: float, commit_timeout: float) -> Any:
        if not write.is_done_by(began + timeout) and self._withdraw(write):
            return DatabaseStuck(f"the database did not respond within {timeout:g} s")
        if not write.is_done_by(began + timeout + commit_timeout):
            return UnconfirmedWrite(f"the database did not finish the commit within {commit_timeout:g} s")
        return write.result

    def _withdraw(self, write: _Write) -> bool:
        """Withdraw `write`, so that it is never committed. Returns False if its commit has begun."""
        with self._lock:
            write.is_withdrawn = not write.is_committing
            return write.is_withdrawn

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            self._began_at = time.monotonic()
            self._commit(first, takes_more=True)
            self._began_at = None

    def _commit(self, group: list[_Write], tries: int = MAX_TRIES, takes_more: bool = False) -> None:
        has_begun = is_committing = False
        try:
            with self._engine.begin() as connection:
                has_begun = True
                # BEGIN may have waited for another process: writes may have been added or withdrawn meanwhile.
                group = self._not_withdrawn([*group, *(self._take_waiting(len(group)) if takes_more else ())])
                group = self._refuse_without_files(group)
                results = _carry_out(group, connection)
                self._begin_commit(group)
                is_committing = True
        except _Withdrawn:
            self._commit(group, tries)
        except Exception as exc:
            if is_committing and _is_outcome_unknown(exc):
                for write in group:
                    _fail(write, UnconfirmedWrite(f"the commit was interrupted: {_reason(exc)}"), exc)
            elif len(group) > 1 and has_begun:
                for write in group:
                    self._commit([write])
            elif tries > 1 and _is_transient(exc):
                self._commit(group, tries - 1)
            else:
                for write in group:
                    _fail(write, _translated(exc), exc)
        else:
            self._conclude(group, results)

    def _take_waiting(self, count: int) -> list[_Write]:
        """Return waiting writes for a group that already has `count`."""
        taken: list[_Write] = []
        while count + len(taken) < MAX_GROUP:
            try:
                writes = self._waiting.get_nowait()
            except queue.Empty:
                break
            if writes is None:  # `_run` must see the end after this group
                self._waiting.put(None)
                break
            taken += writes
        return taken

    def _not_withdrawn(self, group: list[_Write]) -> list[_Write]:
        with self._lock:
            for write in group:
                write.is_committing = False
            return [write for write in group if not write.is_withdrawn]

    def _refuse_without_files(self, group: list[_Write]) -> list[_Write]:
        """Return the writes that are safe with SQLite's current files. The others fail."""
        if self._files is None or not self._files.are_changed:
            return group
        refusals = {is_order: self._files.refusal(is_order) for is_order in (False, True)}
        for write in group:
            if reason := refusals[write.is_order]:
                _fail(write, OutboxUnavailable(reason), None)
        return [write for write in group if not refusals[write.is_order]]

    def _conclude(self, group: list[_Write], results: list[object]) -> None:
        has_order = any(write.is_order for write in group)
        reason = self._files.refusal(is_order=True) if self._files and has_order else None
        for write, result in zip(group, results, strict=True):
            if reason and write.is_order:
                _fail(write, UnconfirmedWrite(reason), None)
            else:
                write.conclude(result)

    def _begin_commit(self, group: list[_Write]) -> None:
        """Prevent further withdrawals. Raises _Withdrawn if a write of the group was withdrawn."""
        with self._lock:
            if any(write.is_withdrawn for write in group):
                raise _Withdrawn
            for write in group:
                write.is_committing = True


def _carry_out(group: list[_Write], connection: Connection) -> list[object]:
    """Carry out the writes, those of one operation together, and return their results in the order of `group`."""
    operations: dict[Operation[Any], list[_Write]] = {}
    for write in group:
        operations.setdefault(write.operation, []).append(write)
    results: dict[_Write, object] = {}
    for operation, writes in operations.items():
        results.update(zip(writes, operation(connection, [write.item for write in writes]), strict=True))
    return [results[write] for write in group]


def _fail(write: _Write, error: Exception, cause: Exception | None) -> None:
    if error is not cause:
        log.error("the database refused a write", extra={"reason": str(error)})
        error.__cause__ = cause
    write.conclude(error)


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
    # Only the first line: the next ones may quote a row.
    return str(getattr(exc, "orig", None) or exc).partition("\n")[0]


def _translated(exc: Exception) -> Exception:
    # An OSError comes from the turnstile's lock file.
    return OutboxUnavailable(_reason(exc)) if isinstance(exc, SQLAlchemyError | OSError) else exc
