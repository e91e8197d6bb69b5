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


class OtherLoad:
    """CPU time of all other processes, which distorts a measurement."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._at_first = self._seconds()

    def describe(self) -> str:
        """Return a sentence about the time since the object was created. Call it when all children have ended."""
        seconds = time.monotonic() - self._began
        cores = max(0.0, self._seconds() - self._at_first) / seconds
        return f"It took {seconds:.0f} s, in which other processes used {cores:.2f} of the cores on average."

    def _seconds(self) -> float:
        fields = [int(ticks) for ticks in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        own = os.times()
        busy = (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")
        return busy - own.user - own.system - own.children_user - own.children_system


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
