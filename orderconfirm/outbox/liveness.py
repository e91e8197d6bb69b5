"""Who of the processes on this machine still lives: each holds a lock that the system takes away when it dies.

A lease alone makes the mails of a killed process wait for its end. Processes that share a SQLite file share a machine,
so there the next start can tell at once. (On PostgreSQL they may not, and the lease decides.)
"""

from __future__ import annotations

import fcntl
import secrets
from pathlib import Path
from typing import IO


class Liveness:
    """This process's lock, and a look at the others'. `folder` holds one small file a process."""

    def __init__(self, folder: Path) -> None:
        self.owner = secrets.token_hex(8)
        self._folder = folder
        self._held: IO[bytes] | None = None

    def claim(self) -> None:
        """Take the lock, until `release` or death. Raises OSError when the folder cannot be written."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._held = self._path(self.owner).open("wb")
        fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        if self._held is not None:
            self._path(self.owner).unlink(missing_ok=True)
            self._held.close()
            self._held = None

    def is_dead(self, owner: str) -> bool:
        """True when the process that called itself `owner` is gone for certain."""
        if owner == self.owner:
            return False
        try:
            with self._path(owner).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._path(owner).unlink(missing_ok=True)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def _path(self, owner: str) -> Path:
        return self._folder / owner
