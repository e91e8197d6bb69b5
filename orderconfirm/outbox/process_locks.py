"""Which of the processes that share a SQLite file are alive.

With leases alone, the mails of a killed process wait until its lease ends, and a jump of the clock ends the leases of
living processes. Processes that share a SQLite file run on one machine, so each holds a file lock, which the kernel
releases when the process dies. Processes on PostgreSQL may run anywhere; there only the lease decides.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Collection
from pathlib import Path
from typing import IO


class ProcessLocks:
    """This process's name and lock, and those of the others. `folder` holds one file a process; None on PostgreSQL."""

    def __init__(self, folder: Path | None) -> None:
        self.owner = ""
        self._folder = folder
        self._held: IO[bytes] | None = None

    def claim(self) -> None:
        """Take a new name and hold its lock until `release`. Raises OSError when the folder cannot be written."""
        self.owner = secrets.token_hex(8)
        self._lock()

    def release(self) -> None:
        """Give the lock up and delete its file."""
        if self._folder is not None and self._held is not None:
            (self._folder / self.owner).unlink(missing_ok=True)
            self._held.close()
            self._held = None

    def sort(self, owners: Collection[str]) -> tuple[list[str], list[str]]:
        """Return those of the other `owners` that are certainly dead, and those that are certainly alive.

        An owner whose file is missing is neither: its lease decides. Files of dead processes that hold no lease are
        deleted.
        """
        if self._folder is None:
            return [], []
        if not self._holds_lock():
            self._lock()  # somebody deleted or replaced the file
        is_dead = {path.name: _is_unlocked(path) for path in self._folder.iterdir() if path.name != self.owner}
        for name in is_dead.keys() - set(owners):
            if is_dead[name]:
                (self._folder / name).unlink(missing_ok=True)
        known = [owner for owner in owners if owner in is_dead]
        return [name for name in known if is_dead[name]], [name for name in known if not is_dead[name]]

    def _lock(self) -> None:
        if self._folder is None:
            return
        if self._held is not None:
            self._held.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._held = (self._folder / self.owner).open("wb")
        fcntl.flock(self._held, fcntl.LOCK_EX)  # another process may hold it for the moment of its own check

    def _holds_lock(self) -> bool:
        """Whether the file that this process locked is the one in the folder."""
        if self._folder is None or self._held is None:
            return False
        try:
            return (self._folder / self.owner).stat().st_ino == os.fstat(self._held.fileno()).st_ino
        except OSError:
            return False


def _is_unlocked(path: Path) -> bool:
    """Whether the process that locked `path` has ended."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
