"""SQLite's files, and whether they are still the ones that this process has open.

SQLite continues to write to a file that has been deleted. Those writes are lost when the process ends.
"""

from __future__ import annotations

import os
import pwd
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

    def check_permissions(self) -> None:
        """Raise OutboxUnavailable when this process may not write one of the files or their folder."""
        if problem := permission_problem(self.database):
            raise OutboxUnavailable(": ".join(problem))

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


def owners(database: Path) -> dict[Path, int]:
    """Return the user number of each existing file that a service writes, and of their folder, which comes first.

    If there is no folder yet, it is the one in which that will be created.
    """
    folder = next(folder for folder in database.parents if folder.exists())
    files = (database.with_name(f"{database.name}{end}") for end in ("", "-wal", "-shm", ".turnstile", ".alive"))
    return {path: owner for path in (folder, *files) if (owner := _owner(path)) is not None}


def permission_problem(database: Path) -> tuple[str, str] | None:
    """Return which of the files this process may not write, and how to change that; None if it may write all."""
    foreign = {path: owner for path, owner in owners(database).items() if owner != os.geteuid()}
    denied = [path for path in foreign if not os.access(path, os.R_OK | os.W_OK, effective_ids=True)]
    if not denied:
        return None
    user = user_name(os.geteuid())
    problem = f"{denied[0]} belongs to {user_name(foreign[denied[0]])} and cannot be written by {user}"
    return problem, f"as root, run chown {user} {' '.join(map(str, denied))}"


def user_name(number: int) -> str:
    """Return a user's name, or the number if it has none, as usual in a container."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _owner(path: Path) -> int | None:
    """Return the number of the file's owner; None if there is no such file, as of SQLite's log between two uses."""
    try:
        return path.stat().st_uid
    except OSError:
        return None


def _inode(path: Path) -> int | None:
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - a third of the cost of Path.stat
    except OSError:
        return None
