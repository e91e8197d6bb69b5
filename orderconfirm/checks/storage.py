"""SQLite's file: its disk, its owner, and whether several machines could use it."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from orderconfirm.checks.findings import Finding, Status, error, ok, warning
from orderconfirm.settings import Settings

#: Free bytes below which orders are about to be refused, and below which somebody should look.
MIN_FREE = 50 * 10**6
LOW_FREE = 500 * 10**6
#: Bytes that are written for a try.
_TRIED_BYTES = 64 * 1024

#: File systems of a network, whose locks and shared memory SQLite's log cannot rely on.
_NETWORK = ("nfs", "cifs", "smb", "9p", "ceph", "gluster", "fuse.", "afs", "lustre", "beegfs", "ocfs2", "gpfs")
#: Those that end with the container or the machine's next start.
_TEMPORARY = ("overlay", "tmpfs", "devtmpfs", "ramfs", "aufs")
_MOUNTS = Path("/proc/self/mounts")

_MOVE = "use a volume on a local disk, or PostgreSQL (docs/deployment.md)"


def examine_storage(
    settings: Settings, file: Path, environ: Mapping[str, str] = os.environ, mounts: Path = _MOUNTS
) -> Iterator[Finding]:
    """Examine the place of the database `file`, which may not exist yet. Leaves nothing behind."""
    yield _file_system(settings, file, mounts)
    yield from _machines(environ)
    folder = next(folder for folder in file.parents if folder.exists())
    if file.exists() and not file.is_file():
        yield error("files", f"{file} is not a file", "set DATABASE_URL to another one")
    elif not folder.is_dir():
        yield error("files", f"{folder} is not a folder", "set DATABASE_URL to another one")
    else:
        yield _ownership(file, folder)
        yield _space(folder)


def file_system_of(path: Path, mounts: str) -> tuple[str, str]:
    """Return the mount point and the type of the file system of `path`, from the text of /proc/mounts."""
    found = ("/", "")
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ")
        # A later line hides an earlier one at the same place.
        if path.is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, fields[2])
    return found


def _file_system(settings: Settings, file: Path, mounts: Path) -> Finding:
    name = "file system"
    try:
        point, kind = file_system_of(file, mounts.read_text(encoding="utf-8", errors="surrogateescape"))
    except OSError:
        return ok(name, f"{file}; its type is not known on this system")
    found = f"{file} is on {kind} ({point})"
    if kind.startswith(_NETWORK):
        users = f", for {settings.processes} processes" if settings.processes > 1 else ""
        return error(name, f"{found}, a network's{users}: SQLite can be destroyed there", _MOVE)
    if kind in _TEMPORARY:
        status = Status.ERROR if settings.is_production else Status.WARNING
        return Finding(name, status, f"{found}: orders are lost with the container or at a restart", _MOVE)
    return ok(name, found)


def _machines(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Find out whether this is a task of ECS, whose disk goes with it, and of which there may be several."""
    if "ECS_CONTAINER_METADATA_URI_V4" not in environ:
        return
    if "EC2" in environ.get("AWS_EXECUTION_ENV", ""):
        advice = "one task only, with its volume on that machine; several tasks need PostgreSQL"
        yield warning("machines", "SQLite in an ECS task: other machines do not see its orders", advice)
    else:
        found = "SQLite on Fargate: the orders are lost with the task, and other tasks do not see them"
        yield error("machines", found, "set DATABASE_URL to a PostgreSQL database")


def _ownership(file: Path, folder: Path) -> Finding:
    """Find files that this user cannot write; as root, those that the service's user cannot write."""
    name = "files"
    paths = (folder, *(file.with_name(f"{file.name}{end}") for end in ("", "-wal", "-shm", ".turnstile", ".alive")))
    owners = {path: owner for path in paths if (owner := _owner(path)) is not None}
    user = _user(os.geteuid())
    if os.geteuid() != 0:
        denied = [path for path in owners if not os.access(path, os.R_OK | os.W_OK, effective_ids=True)]
        if denied:
            found = f"{denied[0]} belongs to {_user(owners[denied[0]])} and cannot be written by {user}"
            return error(name, found, f"as root, run chown {user} {' '.join(map(str, denied))}")
        return ok(name, f"{user} can write {file if file.exists() else folder}")
    owner = next((each for each in owners.values() if each), 0)
    foreign = [path for path, each in owners.items() if each == 0 and path != folder]
    if owner and foreign:
        found = f"{foreign[0]} belongs to root, other files to {_user(owner)}: a command was run as root"
        return error(name, found, f"run chown {_user(owner)} {' '.join(map(str, foreign))}")
    if owner:
        found = f"they belong to {_user(owner)}, and this check runs as root"
        return warning(name, found, f"run it as {_user(owner)}, to see whether that user can write")
    return ok(name, f"root can write {file if file.exists() else folder}")


def _space(folder: Path) -> Finding:
    """Write and flush a file that is gone at once, and measure the free space."""
    name = "disk"
    try:
        with tempfile.TemporaryFile(dir=folder) as trial:
            trial.write(bytes(_TRIED_BYTES))
            trial.flush()
            os.fsync(trial.fileno())
    except OSError as exc:
        advice = "free some space, make the folder writable, or set DATABASE_URL to another one"
        return error(name, f"nothing can be written to {folder} ({exc.strerror})", advice)
    free = shutil.disk_usage(folder).free
    found = f"{free / 10**9:.1f} GB free"
    if free < MIN_FREE:
        return error(name, found, "free some space: with a full disk, orders are refused")
    if free < LOW_FREE:
        return warning(name, found, "free some space: a million orders take 2 GB until their content is deleted")
    return ok(name, found)


def _owner(path: Path) -> int | None:
    """Return the number of the file's owner; None if there is no such file, as of SQLite's log between two uses."""
    try:
        return path.stat().st_uid
    except OSError:
        return None


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
