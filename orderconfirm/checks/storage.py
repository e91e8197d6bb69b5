"""SQLite's file: its disk, its owner, and whether several machines could use it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from orderconfirm.checks.findings import Finding, Status, error, ok, warning
from orderconfirm.outbox.sqlite_files import owners, permission_problem, user_name
from orderconfirm.settings import OF_ECS, Settings

#: Free bytes below which orders are about to be refused, and below which somebody should look.
MIN_FREE = 50 * 10**6
LOW_FREE = 500 * 10**6
#: Bytes written to the temporary file.
_TRIED_BYTES = 64 * 1024

#: Network file systems: SQLite's write-ahead log cannot rely on their locks and shared memory.
_NETWORK = ("nfs", "cifs", "smb", "9p", "ceph", "gluster", "fuse.", "afs", "lustre", "beegfs", "ocfs2", "gpfs")
#: File systems whose files are lost with the container or at the machine's next start.
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
        return error(name, f"{found}, a network file system{users}: SQLite's file can be corrupted there", _MOVE)
    if kind in _TEMPORARY:
        status = Status.ERROR if settings.is_production else Status.WARNING
        return Finding(name, status, f"{found}: orders are lost with the container or at a restart", _MOVE)
    return ok(name, found)


def _machines(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Warn if this is an ECS task, which starts with SQLite only if ALLOW_SQLITE_ON_ECS is set."""
    if OF_ECS in environ:
        advice = "run one task only, with the file on a persistent volume; several tasks need PostgreSQL"
        yield warning("machines", "SQLite in an ECS task: other tasks do not see its orders", advice)


def _ownership(file: Path, folder: Path) -> Finding:
    """Find files that this user cannot write; as root, those that the service's user cannot write."""
    name = "files"
    if problem := permission_problem(file):
        return error(name, *problem)
    user = user_name(os.geteuid())
    if os.geteuid() != 0:
        return ok(name, f"{user} can write {file if file.exists() else folder}")
    found = owners(file)
    owner = next((each for each in found.values() if each), 0)
    foreign = [path for path, each in found.items() if each == 0 and path != folder]
    if owner and foreign:
        sentence = f"{foreign[0]} belongs to root, other files to {user_name(owner)}: a command was run as root"
        return error(name, sentence, f"run chown {user_name(owner)} {' '.join(map(str, foreign))}")
    if owner:
        sentence = f"they belong to {user_name(owner)}, and this check runs as root"
        return warning(name, sentence, f"run it as {user_name(owner)} to see whether that user can write")
    return ok(name, f"root can write {file if file.exists() else folder}")


def _space(folder: Path) -> Finding:
    """Write and flush a temporary file, and measure the free space."""
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
