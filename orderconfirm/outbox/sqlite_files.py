"""SQLite's file and its companions, and whether they are still the ones that this process has open.

SQLite goes on writing into a file that was deleted under it. What it writes there is lost when the process ends.
"""

from __future__ import annotations

from pathlib import Path

from orderconfirm.errors import OutboxUnavailable


class SqliteFiles:
    """The database file, its write-ahead log (-wal), and the log's index that all processes share (-shm)."""

    def __init__(self, database: Path) -> None:
        #: Links resolved, because several processes may reach the file by different links.
        self.database = database.resolve()
        self._inodes: dict[Path, int | None] = {}

    @property
    def lock_folder(self) -> Path:
        """The folder in which each process holds a lock."""
        return self.database.with_name(f"{self.database.name}.alive")

    def remember(self) -> None:
        """Take the files as they are for the ones that this process has open."""
        paths = (self.database.with_name(f"{self.database.name}{suffix}") for suffix in ("", "-wal", "-shm"))
        self._inodes = {path: _inode(path) for path in paths}

    def check(self) -> None:
        """Raise OutboxUnavailable when one of the files was deleted or replaced."""
        for path, inode in self._inodes.items():
            if _inode(path) != inode:
                raise OutboxUnavailable(f"{path} was deleted or replaced: put it back, or restart the service")

    @property
    def has_lost_log(self) -> bool:
        """Whether the log or its index was deleted or replaced, and the database file was not."""
        changed = [path for path, inode in self._inodes.items() if _inode(path) != inode]
        return bool(changed) and self.database not in changed


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None
