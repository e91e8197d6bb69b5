"""CPU time and memory of a tree of processes, read from /proc."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MEGABYTE = 2**20
SAMPLE_SECONDS = 0.25

_PSS = re.compile(r"^Pss:\s+(\d+)", re.MULTILINE)


def exit_on_sigterm() -> None:
    """End this process at SIGTERM as at Ctrl-C, so that it stops its child processes."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))


def _stat(pid: str) -> list[str]:
    """Return the fields of /proc/PID/stat that follow the process's name."""
    return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()


def _tree(leader: int) -> Iterator[tuple[str, list[str]]]:
    """Yield the processes of the session that `leader` began."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):  # it has ended
            stat = _stat(name)
            if int(stat[3]) == leader and stat[0] != "Z":
                yield name, stat


def cpu_seconds(leader: int) -> float:
    """Return the user and system time of the processes of a session, and of those that have ended."""
    return sum(int(ticks) for _, stat in _tree(leader) for ticks in stat[11:15]) / TICKS


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes of a tree of processes. `rss` counts a shared page once per process, `pss` only once."""

    rss: float
    pss: float


def memory(leader: int) -> Memory:
    rss, pss = 0.0, 0.0
    for pid, stat in _tree(leader):
        with suppress(OSError):  # it has ended
            found = _PSS.search(Path("/proc", pid, "smaps_rollup").read_text())
            pss += int(found[1]) * 1024 if found else 0
            rss += int(stat[21]) * PAGE
    return Memory(rss / MEGABYTE, pss / MEGABYTE)


class MemoryWatch:
    """Samples the memory of a tree of processes from `start` to `stop`."""

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self._ended = threading.Event()
        self._peak = Memory(0, 0)
        self._thread = threading.Thread(target=self._run, name="memory")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> Memory:
        """Return the peaks."""
        self._ended.set()
        self._thread.join()
        return self._peak

    def _run(self) -> None:
        while not self._ended.is_set():
            now = memory(self._leader)
            self._peak = Memory(max(self._peak.rss, now.rss), max(self._peak.pss, now.pss))
            self._ended.wait(SAMPLE_SECONDS)
