"""The machine that was measured on: cores, CPU, Python, disk."""

from __future__ import annotations

import os
import platform
import re
import time
from pathlib import Path
from statistics import median

FSYNCS = 50
BLOCK = b"\0" * 4096


def describe(folder: Path) -> str:
    """Return one line. `folder` is where the outbox is."""
    cores = len(os.sched_getaffinity(0))
    python = f"Python {platform.python_version()}"
    disk = f"{_filesystem(folder)}, {fsync_seconds(folder) * 1000:.2f} ms for a write of 4 KiB with fsync"
    return f"{cores} cores ({_cpu_model()}), {python}, {disk}"


def fsync_seconds(folder: Path) -> float:
    """Return the median time until an appended block is on disk: a commit takes about as long."""
    path = folder / "fsync"
    times = []
    with path.open("wb", buffering=0) as file:
        for _ in range(FSYNCS):
            began = time.perf_counter()
            file.write(BLOCK)
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    path.unlink()
    return median(times)


def _cpu_model() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _filesystem(folder: Path) -> str:
    """Return the type of the file system that holds `folder`."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    above = [(point, kind) for point, kind in mounts if folder.resolve().is_relative_to(point)]
    return max(above, key=lambda mount: len(mount[0]))[1]
