"""Locks that show which of the sending processes are alive.

With leases alone, the mails of a killed process would wait until its lease ends, and a jump of the clock would end the
leases of living processes. So each process that sends holds a lock, which its death releases: a file lock next to
SQLite's file (`file_locks`), an advisory lock of a PostgreSQL server (`session_locks`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple, Protocol

from sqlalchemy import Connection


class Verdict(NamedTuple):
    """The processes that are certainly dead, and those that are certainly alive. Of others, their leases decide."""

    dead: list[str]
    living: list[str]


class ProcessLocks(Protocol):
    """This process's name and lock, and a look at the locks of others."""

    @property
    def owner(self) -> str:
        """The name of this process, in its leases; empty before `claim`."""

    @property
    def is_visible(self) -> bool:
        """Whether others see that this process lives. If not, they may soon take its mails: it must begin none."""

    def claim(self, on_due: Callable[[], None]) -> None:
        """Take a new name and hold its lock until `release`. Raises OutboxUnavailable.

        `on_due` is called, in any thread, when another process reports due mails, or when mails may be sent again.
        """

    def release(self) -> None:
        """Give the lock up. Does nothing without one."""

    def note_begun(self, mail_id: int) -> None:
        """Note that this process is about to send a mail. It counts as begun until `note_settled`."""

    def note_settled(self, mail_id: int) -> None:
        """Note that the outcome of a mail is recorded."""

    def begun_by(self, owner: str) -> set[int] | None:
        """Return the mails that a dead process had begun to send and not settled; None if that is not known."""

    def verdict(self, connection: Connection, owners: Mapping[str, float]) -> Verdict:
        """Return which of the other `owners` are dead and which are alive.

        The number of each owner is the database's time when it certainly held its lock.
        """

    def forget(self, owners: Collection[str]) -> None:
        """Delete what is known of dead processes other than `owners`."""
