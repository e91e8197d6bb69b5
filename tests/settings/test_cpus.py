"""The number of usable CPUs, with the quota files of a container."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orderconfirm.settings import Settings, cpus


@pytest.fixture
def quotas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of /sys/fs/cgroup."""
    files = tuple(
        tuple(str(tmp_path / Path(name).name) for name in names)  # "/sys/fs/cgroup/cpu.max" becomes "…/cpu.max"
        for names in cpus._QUOTA_FILES
    )
    monkeypatch.setattr(cpus, "_QUOTA_FILES", files)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    return tmp_path


def test_without_a_quota_all_cpus_of_the_process_count(quotas: Path) -> None:
    assert cpus.usable_cpus() == 4


@pytest.mark.parametrize(
    ("content", "count"), [("50000 100000\n", 0.5), ("200000 100000", 2), ("900000 100000", 4), ("max 100000", 4)]
)
def test_the_quota_of_a_container_counts_if_it_is_lower(quotas: Path, content: str, count: float) -> None:
    (quotas / "cpu.max").write_text(content)
    assert cpus.usable_cpus() == count


@pytest.mark.parametrize(("quota", "count"), [("150000", 1.5), ("-1", 4)])
def test_the_quota_of_an_older_kernel_counts_too(quotas: Path, quota: str, count: float) -> None:
    (quotas / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (quotas / "cpu.cfs_period_us").write_text("100000\n")
    assert cpus.usable_cpus() == count


@pytest.mark.parametrize("content", ["", "nonsense", "1 2 3", "0 100000", "\xff"])
def test_a_quota_that_cannot_be_read_is_ignored(quotas: Path, content: str) -> None:
    (quotas / "cpu.max").write_text(content, encoding="latin-1")
    assert cpus.usable_cpus() == 4


def test_a_system_without_affinity_has_all_its_cpus(quotas: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cpus.usable_cpus() == 1


@pytest.mark.parametrize(("quota", "has_sender"), [("100000", False), ("101000", True)])
def test_a_sender_process_is_the_default_with_more_than_one_cpu(quotas: Path, quota: str, has_sender: bool) -> None:
    (quotas / "cpu.max").write_text(f"{quota} 100000")
    settings = Settings.from_env({"WEB_CONCURRENCY": "3"})
    assert (settings.has_sender_process, settings.processes) == (has_sender, 3 + has_sender)


@pytest.mark.parametrize(("role", "processes"), [("process", 4), ("thread", 3), ("off", 3), ("only", 1)])
def test_the_setting_decides_whatever_the_cpus(quotas: Path, role: str, processes: int) -> None:
    (quotas / "cpu.max").write_text("50000 100000" if role == "process" else "400000 100000")
    assert Settings.from_env({"WEB_CONCURRENCY": "3", "SENDER": role}).processes == processes
