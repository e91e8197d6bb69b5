"""Process locks for SQLite: one locked file per process.

Processes that share a SQLite file run on one machine, and the kernel releases a file lock when its process dies.

A process leases more mails than it is sending. It notes in its locked file which ones it has begun to send, because
only these may arrive twice after its death. The file is not flushed: a kill leaves it intact, and after a crash of the
machine it is ignored.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import IO

from sqlalchemy import Connection

from orderconfirm.errors import OutboxUnavailable
from orderconfirm.outbox.process_locks import Verdict

#: Changes with each start of the machine. Only Linux has it.
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_BOOT_ID_LENGTH = 37
#: Bytes of a mail's id in the file; zeros in a free place.
_ID_BYTES = 8
#: Places for ids: more than a process usually sends at once. Beyond that, all its mails count as begun.
_PLACES = 4096
_FILE_BYTES = _BOOT_ID_LENGTH + _PLACES * _ID_BYTES


class FileLocks:
    """The locks of the processes that share a SQLite file; `folder` has one file for each (see ProcessLocks)."""

    #: A file lock cannot be lost while its process lives.
    is_visible = True

    def __init__(self, folder: Path) -> None:
        self.owner = ""
        self._folder = folder
        self._held: IO[bytes] | None = None
        self._notes: mmap.mmap | None = None
        #: The mails that this process has begun to send, with their places in the file, and the free places.
        self._begun: dict[int, int] = {}
        self._free = list(reversed(range(_PLACES)))
        self._lock_of_begun = threading.Lock()

    def claim(self, on_due: Callable[[], None]) -> None:
        """Take a new name and lock its file. Processes on one machine need no lock to wake each other."""
        self.owner = secrets.token_hex(8)
        try:
            self._lock()
        except OSError as exc:
            raise OutboxUnavailable(f"the lock file {self._folder / self.owner} cannot be created: {exc}") from exc

    def release(self) -> None:
        if self._held is not None:
            (self._folder / self.owner).unlink(missing_ok=True)
            self._held.close()
            self._held = self._notes = None  # the mapping holds the lock as well
            self.owner = ""  # or `verdict` would lock the file again

    def note_begun(self, mail_id: int) -> None:
        with self._lock_of_begun:
            if self._free:
                place = self._begun[mail_id] = self._free.pop()
                self._put(place, mail_id)
            elif self._notes is not None:
                self._notes[:_BOOT_ID_LENGTH] = bytes(_BOOT_ID_LENGTH)  # invalidates the file

    def note_settled(self, mail_id: int) -> None:
        with self._lock_of_begun:
            place = self._begun.pop(mail_id, None)
            if place is not None:
                self._free.append(place)
                self._put(place, 0)

    def begun_by(self, owner: str) -> set[int] | None:
        try:
            content = (self._folder / owner).read_bytes()
        except OSError:
            return None
        boot_id = _boot_id()
        if not boot_id or content[:_BOOT_ID_LENGTH] != boot_id or len(content) != _FILE_BYTES:
            return None
        places = range(_BOOT_ID_LENGTH, len(content), _ID_BYTES)
        return {int.from_bytes(content[place : place + _ID_BYTES]) for place in places} - {0}

    def verdict(self, connection: Connection, owners: Mapping[str, float]) -> Verdict:
        """Look at the files of `owners`. One whose file is missing is neither dead nor alive."""
        if self.owner and not self._holds_lock():
            self._lock()  # somebody deleted or replaced the file
        is_dead = {path.name: _is_unlocked(path) for path in self._others() if path.name in owners}
        return Verdict([name for name in is_dead if is_dead[name]], [name for name in is_dead if not is_dead[name]])

    def forget(self, owners: Collection[str]) -> None:
        for path in self._others():
            if path.name not in owners and _is_unlocked(path):
                path.unlink(missing_ok=True)

    def _others(self) -> list[Path]:
        """Return the files of the other processes."""
        return [path for path in self._folder.iterdir() if path.name != self.owner] if self._folder.is_dir() else []

    def _lock(self) -> None:
        if self._held is not None:
            self._held.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._held = (self._folder / self.owner).open("w+b", buffering=0)
        fcntl.flock(self._held, fcntl.LOCK_EX)  # another process may hold it for the moment of its own check
        with self._lock_of_begun:
            self._notes = _mapped(self._held)
            for mail_id, place in self._begun.items():
                self._put(place, mail_id)

    def _put(self, place: int, mail_id: int) -> None:
        # A mapped file, because a write would release the interpreter's lock in the middle of each send.
        if self._notes is not None:
            begin = _BOOT_ID_LENGTH + place * _ID_BYTES
            self._notes[begin : begin + _ID_BYTES] = mail_id.to_bytes(_ID_BYTES)

    def _holds_lock(self) -> bool:
        """Whether the file that this process locked is the one in the folder."""
        if self._held is None:
            return False
        try:
            return (self._folder / self.owner).stat().st_ino == os.fstat(self._held.fileno()).st_ino
        except OSError:
            return False


def _mapped(file: IO[bytes]) -> mmap.mmap | None:
    """Return the mapped notes of an empty file; None if the disk is full, which leaves an invalid file."""
    try:
        is_whole = file.write(_boot_id().ljust(_FILE_BYTES, b"\0")) == _FILE_BYTES
    except OSError:
        is_whole = False
    return mmap.mmap(file.fileno(), _FILE_BYTES) if is_whole else None


def _boot_id() -> bytes:
    try:
        return _BOOT_ID.read_bytes()[:_BOOT_ID_LENGTH]
    except OSError:
        return b""


def _is_unlocked(path: Path) -> bool:
    """Whether the process that locked `path` has ended."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
