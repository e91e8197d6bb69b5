"""The servers that the tests start themselves."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from postgres_servers import database_on
from processes import wait_until
from sqlalchemy.engine import make_url

from benchmarks.postgres import Programs, installed_programs, postgres_server

ROOT = Path(__file__).parent.parent
HOLD = """
from benchmarks.postgres import Programs, installed_programs, postgres_server
with postgres_server(installed_programs()[0]) as url:
    print(url, flush=True)
    input()
"""


@pytest.mark.skipif(not installed_programs(), reason="no PostgreSQL is installed here")
def test_a_server_ends_when_the_process_that_started_it_is_killed() -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    url = holder.stdout.readline().strip()
    folder = Path(str(make_url(url).query["host"]))
    with psycopg.connect(url) as session:
        assert session.execute("SELECT 1").fetchone() == (1,)
    holder.kill()
    holder.communicate()
    wait_until(lambda: not (folder / "data").exists())
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    shutil.rmtree(folder, ignore_errors=True)  # all but the folder itself may be gone


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="initdb"), postgres_server(Programs(99, tmp_path)):
        pass


def test_every_version_of_this_machine_is_found_once() -> None:
    versions = [each.version for each in installed_programs()]
    assert len(versions) == len(set(versions))
    assert all((each.folder / "initdb").exists() for each in installed_programs())


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_in_ci_a_test_without_postgresql_fails_instead_of_being_skipped(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setattr("postgres_servers._GIVEN", None)
    monkeypatch.setattr("postgres_servers.SERVERS", [])
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="TEST_DATABASE_URL"), database_on(0):
        pass
