"""Which of the processes on one database still live.

A lease alone makes the mails of a killed process wait for its end, and a clock that jumps ends leases too soon.
Processes that share a SQLite file share a machine: there each holds a lock, which the system takes away when it dies.
On PostgreSQL they may be anywhere, and only the lease decides.
"""

from __future__ import annotations

import fcntl
import secrets
from collections.abc import Collection
from pathlib import Path
from typing import IO


class ProcessLocks:
    """This process's name and lock, and a look at the others'. `folder` holds one small file a process, or is None."""

    def __init__(self, folder: Path | None) -> None:
        self.owner = ""
        self._folder = folder
        self._held: IO[bytes] | None = None

    def claim(self) -> None:
        """Take a name and its lock, until `release` or death. Raises OSError when the folder cannot be written."""
        self.owner = secrets.token_hex(8)
        self._take()

    def _take(self) -> None:
        if self._folder is None:
            return
        if self._held is not None:
            self._held.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._held = (self._folder / self.owner).open("wb")
        fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        if self._folder is not None and self._held is not None:
            (self._folder / self.owner).unlink(missing_ok=True)
            self._held.close()
            self._held = None

    def sort(self, owners: Collection[str]) -> tuple[list[str], list[str]]:
        """Return those of the other `owners` that are certainly dead, and those that certainly live.

        One whose file is missing is neither: its lease decides. Files of dead processes that own nothing are deleted.
        """
        if self._folder is None:
            return [], []
        if not (self._folder / self.owner).exists():
            self._take()  # somebody deleted it
        is_suppressed = {path.name: _is_unlocked(path) for path in self._folder.iterdir() if path.name != self.owner}
        for name, is_unlocked in is_suppressed.items():
            if is_unlocked and name not in owners:
                (self._folder / name).unlink(missing_ok=True)
        known = [owner for owner in owners if owner in is_suppressed]
        return [owner for owner in known if is_suppressed[owner]], [
            owner for owner in known if not is_suppressed[owner]
        ]


def _is_unlocked(path: Path) -> bool:
    """Whether the process that locked `path` has ended."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
