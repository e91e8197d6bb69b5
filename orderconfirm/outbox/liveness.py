"""Which of the processes on one database still live.

A lease alone makes the mails of a killed process wait for its end, and a clock that jumps ends leases too soon.
Processes that share a SQLite file share a machine: there each holds a lock, which the system takes away when it dies.
On PostgreSQL they may be anywhere, and only the lease decides.
"""

from __future__ import annotations

import fcntl
import secrets
from pathlib import Path
from typing import IO


class Liveness:
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
        for path in self._folder.iterdir():
            _is_dead(path)  # clears away what a killed process left
        self._held = (self._folder / self.owner).open("wb")
        fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        if self._folder is not None and self._held is not None:
            (self._folder / self.owner).unlink(missing_ok=True)
            self._held.close()
            self._held = None

    def sort(self, owners: list[str]) -> tuple[list[str], list[str]]:
        """Those of the other `owners` that are gone for certain, and those that certainly live."""
        if self._folder is None:
            return [], []
        if not (self._folder / self.owner).exists():
            self._take()  # somebody tidied up: the others must not take this process for dead
        others = [owner for owner in owners if owner != self.owner]
        dead = [owner for owner in others if _is_dead(self._folder / owner)]
        return dead, [owner for owner in others if owner not in dead]


def _is_dead(path: Path) -> bool:
    """True when nobody holds the lock on `path`, or it is gone."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
