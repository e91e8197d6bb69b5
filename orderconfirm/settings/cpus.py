"""The number of CPUs that this process may use."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

#: The quota of CPU time of a container, in microseconds per period, and the period (cgroup v2, then v1).
_QUOTA_FILES = (
    ("/sys/fs/cgroup/cpu.max",),
    ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
)


def usable_cpus() -> float:
    """Return the number of CPUs, or less if a container's quota is lower."""
    cpus = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    for names in _QUOTA_FILES:
        with suppress(OSError, ValueError):  # no such file, or no quota
            quota, period = " ".join(Path(name).read_text("ascii") for name in names).split()
            if float(quota) > 0:
                return min(cpus, float(quota) / float(period))
    return cpus
