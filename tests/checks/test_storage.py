"""The place of SQLite's file."""

from __future__ import annotations

import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from findings import named, statuses
from processes import NOBODY, acting_as, as_root, let_others_read

from orderconfirm.checks.findings import Finding
from orderconfirm.checks.storage import examine_storage, file_system_of
from orderconfirm.settings import OF_ECS, Settings

#: The text of /proc/mounts on a machine with some of each.
MOUNTS = """\
overlay / overlay rw,relatime 0 0
/dev/sda1 /data ext4 rw 0 0
fs-1.efs.example:/ /data/shared nfs4 rw,vers=4.1 0 0
//nas/orders /mnt/my\\040share cifs rw 0 0
tmpfs /run tmpfs rw 0 0
/dev/sdb1 /mnt/twice ext4 rw 0 0
nas:/x /mnt/twice nfs rw 0 0
"""


def examine(file: Path, environ: dict[str, str] | None = None, **settings: str) -> list[Finding]:
    return list(examine_storage(Settings.from_env(settings), file, environ or {}))


@contextmanager
def limited_file_size(size: int) -> Iterator[None]:
    """Let this process write files of `size` bytes at most, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_place_of_a_file_that_does_not_exist_yet_is_examined_without_a_trace(tmp_path: Path) -> None:
    findings = examine(tmp_path / "new" / "outbox.db")
    assert (statuses(findings)["files"], statuses(findings)["disk"]) == ("ok", "ok")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "point", "kind"),
    [
        ("/data/outbox.db", "/data", "ext4"),
        ("/data/shared/outbox.db", "/data/shared", "nfs4"),
        ("/database/outbox.db", "/", "overlay"),
        ("/mnt/my share/outbox.db", "/mnt/my share", "cifs"),
        ("/mnt/twice/outbox.db", "/mnt/twice", "nfs"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_its_last_and_deepest_mount(path: str, point: str, kind: str) -> None:
    assert file_system_of(Path(path), MOUNTS) == (point, kind)


@pytest.mark.parametrize(
    ("kind", "environment", "status"),
    [
        ("ext4", "production", "ok"),
        ("nfs4", "development", "error"),
        ("cifs", "development", "error"),
        ("fuse.sshfs", "development", "error"),
        ("overlay", "production", "error"),
        ("overlay", "development", "warning"),
        ("tmpfs", "development", "warning"),
    ],
)
def test_a_file_system_on_which_orders_are_not_safe_is_named(
    tmp_path: Path, kind: str, environment: str, status: str
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"somewhere {tmp_path} {kind} rw 0 0\n", encoding="utf-8")
    settings = Settings(environment=environment, workers=3)
    finding = named(examine_storage(settings, tmp_path / "outbox.db", {}, mounts), "file system")
    assert (finding.status, kind in finding.found) == (status, True)
    assert ("processes" in finding.found) == (kind in ("nfs4", "cifs", "fuse.sshfs"))


@pytest.mark.parametrize(("environ", "status"), [({OF_ECS: "http://169.254.170.2/v4/x"}, "warning"), ({}, None)])
def test_a_file_in_a_task_of_ecs_is_named(tmp_path: Path, environ: dict[str, str], status: str | None) -> None:
    assert statuses(examine(tmp_path / "outbox.db", environ)).get("machines") == status


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "outbox.db").mkdir()
    assert "outbox.db is not a file" in named(examine(tmp_path / "outbox.db"), "files").found


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    assert "data is not a folder" in named(examine(tmp_path / "data" / "outbox.db"), "files").found


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with limited_file_size(1000):
        finding = named(examine(tmp_path / "outbox.db"), "disk")
    assert (finding.status, str(tmp_path) in finding.found) == ("error", True)
    assert list(tmp_path.iterdir()) == []


@as_root
def test_files_of_root_are_named_to_the_user_who_cannot_write_them(tmp_path: Path) -> None:
    file = tmp_path / "data" / "outbox.db"
    file.parent.mkdir()
    os.chown(file.parent, NOBODY, NOBODY)
    file.touch(mode=0o600)
    let_others_read(tmp_path)
    with acting_as(NOBODY):
        findings = examine(file)
    assert f"{file} belongs to root and cannot be written by" in named(findings, "files").found
    assert f"{file}" in named(findings, "files").advice
    assert statuses(findings)["disk"] == "ok"


@as_root
def test_a_folder_of_another_user_is_named(tmp_path: Path) -> None:
    let_others_read(tmp_path)
    with acting_as(NOBODY):
        findings = examine(tmp_path / "outbox.db")
    assert (statuses(findings)["files"], statuses(findings)["disk"]) == ("error", "error")


@as_root
def test_root_is_warned_of_files_that_the_services_user_cannot_write(tmp_path: Path) -> None:
    file = tmp_path / "outbox.db"
    os.chown(tmp_path, NOBODY, NOBODY)
    assert statuses(examine(file))["files"] == "warning"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    finding = named(examine(file), "files")
    assert (finding.status, f"{file} belongs to root" in finding.found) == ("error", True)
    assert finding.advice.endswith(str(file))
