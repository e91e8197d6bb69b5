"""SQLite's files, and whether they are still the ones that this process has open.

SQLite continues to write to a file that has been deleted. Those writes are lost when the process ends.
"""

from __future__ import annotations

import os
from pathlib import Path

from orderconfirm.errors import OutboxUnavailable


class SqliteFiles:
    """The database file, its write-ahead log (-wal), and the log's index that all processes share (-shm)."""

    def __init__(self, database: Path) -> None:
        #: With links resolved, because processes may open the file through different links.
        self.database = database.resolve()
        self._inodes: dict[Path, int | None] = {}

    @property
    def lock_folder(self) -> Path:
        """The folder in which each process holds a lock."""
        return self.database.with_name(f"{self.database.name}.alive")

    def remember(self) -> None:
        """Record the current inodes as those that this process has open."""
        paths = (self.database.with_name(f"{self.database.name}{suffix}") for suffix in ("", "-wal", "-shm"))
        self._inodes = {path: _inode(path) for path in paths}

    def check(self) -> None:
        """Raise OutboxUnavailable when one of the files was deleted or replaced."""
        if reason := self.refusal(is_order=True):
            raise OutboxUnavailable(reason)

    def refusal(self, is_order: bool) -> str | None:
        """Return why a write must not be carried out now, or None.

        After the loss of the log, nothing is written: other processes may have opened a new log, and two logs would
        destroy the database. When only the database file is gone, no order (`is_order`) is accepted, but those that
        are waiting in it are still sent.
        """
        changed = self._changed()
        if not changed or (self.database in changed and not is_order):
            return None
        remedy = "put it back, or restart the service" if self.database in changed else "restart the service"
        return f"{changed[0]} was deleted or replaced: {remedy}"

    @property
    def are_changed(self) -> bool:
        """Whether one of the files was deleted or replaced."""
        return bool(self._changed())

    @property
    def has_lost_log(self) -> bool:
        """Whether the log or its index was deleted or replaced, and the database file was not."""
        changed = self._changed()
        return bool(changed) and self.database not in changed

    def _changed(self) -> list[Path]:
        return [path for path, inode in self._inodes.items() if _inode(path) != inode]


def _inode(path: Path) -> int | None:
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - a third of the cost of Path.stat
    except OSError:
        return None
