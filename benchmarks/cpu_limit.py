"""A limit on a service's CPU time, like a container's, set with a cgroup where permitted."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

PERIOD = 100_000  # microseconds, the kernel's default

_ROOT = Path("/sys/fs/cgroup")
_numbers = count()


@dataclass(frozen=True, slots=True)
class CpuLimit:
    """A control group that may use `cpus`. A process started with `command` belongs to it."""

    folder: Path
    cpus: float

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "benchmarks.cpu_limit", str(self.folder), *words]


@contextmanager
def cpu_limit(cpus: float) -> Iterator[CpuLimit | None]:
    """Create a control group below this process's own, and remove it at the end. Yield None if it cannot be created."""
    folder = _own_group()
    if folder is None:
        yield None
        return
    folder /= f"orderconfirm-bench-{os.getpid()}-{next(_numbers)}"
    try:
        folder.mkdir()
    except OSError:
        yield None
        return
    try:
        yield CpuLimit(folder, cpus) if _set_quota(folder, cpus) else None
    finally:
        with suppress(OSError):
            folder.rmdir()


def _own_group() -> Path | None:
    """Return the folder of this process's CPU control group (v1 or v2)."""
    groups = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for _, controllers, path in groups:
        if "cpu" in controllers.split(","):
            return _existing(_ROOT / controllers / path.lstrip("/")) or _existing(_ROOT / "cpu" / path.lstrip("/"))
    unified = [path for number, _, path in groups if number == "0"]
    return _existing(_ROOT / unified[0].lstrip("/")) if unified else None


def _existing(folder: Path) -> Path | None:
    return folder if (folder / "cgroup.procs").exists() else None


def _set_quota(folder: Path, cpus: float) -> bool:
    quota = int(cpus * PERIOD)
    try:
        if (folder / "cpu.max").exists():
            (folder / "cpu.max").write_text(f"{quota} {PERIOD}")
        else:
            (folder / "cpu.cfs_period_us").write_text(str(PERIOD))
            (folder / "cpu.cfs_quota_us").write_text(str(quota))
    except OSError:
        return False
    return True


def main() -> None:
    """Join the control group, then become the command."""
    folder, *command = sys.argv[1:]
    (Path(folder) / "cgroup.procs").write_text(str(os.getpid()))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
