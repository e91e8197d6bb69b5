"""`flask db …`, as an operator types it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from processes import free_port
from schemas import HEAD, NAMES, NEXT_NUMBER, make_released, schema, write_version

from orderconfirm import create_app
from orderconfirm.settings import Settings

Type = Callable[..., Result]


@pytest.fixture
def url(empty_url: str) -> str:
    """The URL of a database without tables."""
    return empty_url


@pytest.fixture
def db(url: str) -> Type:
    """Runs a command on the database of the test."""
    runner = create_app(Settings.from_env({"DATABASE_URL": url, "AUTO_MIGRATE": "false"})).test_cli_runner()
    return lambda *words: runner.invoke(args=["db", *words])


def test_upgrade_applies_what_is_pending_and_nothing_twice(db: Type, url: str) -> None:
    make_released(url, "0001", is_recorded=True)
    applied = "".join(f"applied {name}\n" for name in NAMES[1:])
    assert db("upgrade").output == f"{applied}The database has revision {HEAD}.\n"
    assert db("upgrade").output == f"The database has revision {HEAD}.\n"


def test_upgrade_creates_the_tables_of_an_empty_database(db: Type) -> None:
    assert db("upgrade").output.splitlines()[:2] == ["applied 0001_tables", "applied 0002_senders"]


def test_current_shows_both_revisions_and_what_is_pending(db: Type, url: str) -> None:
    make_released(url, "0001", is_recorded=True)
    assert [line.split(maxsplit=1) for line in db("current").output.splitlines()] == [
        ["database", "0001"],
        ["usable", "from     0001"],
        ["this", f"version    {HEAD}"],
        ["pending", ", ".join(NAMES[1:])],
    ]
    db("upgrade")
    assert db("current").output.splitlines()[-1].split() == ["pending", "nothing"]


def test_current_of_an_empty_database_creates_nothing(tmp_path: Path) -> None:
    settings = Settings.from_env({"DATABASE_URL": f"sqlite:///{tmp_path}/outbox.db"})
    result = create_app(settings).test_cli_runner().invoke(args=["db", "current"])
    assert result.output.splitlines()[0].split() == ["database", "no", "revision"]
    assert list(tmp_path.iterdir()) == []


def test_history_lists_all_migrations_and_marks_the_current_one(db: Type, url: str) -> None:
    make_released(url, "0001", is_recorded=True)
    assert db("history").output.splitlines()[:2] == [
        "* 0001  usable from 0001  The tables of the versions before there were migrations.",
        "  0002  usable from 0001  The table of the processes that send.",
    ]


def test_downgrade_undoes_the_last_migration_and_never_the_first(db: Type, url: str) -> None:
    make_released(url, "0001", is_recorded=True)
    db("upgrade")
    for name, before in zip(NAMES[:0:-1], NAMES[-2::-1], strict=True):
        assert db("downgrade").output == f"undone {name}\nThe database has revision {before[:4]}.\n"
    result = db("downgrade")
    assert (result.exit_code, "has revision 0001: no revision is before it" in result.stderr) == (1, True)


def test_what_cannot_be_done_is_reported_in_a_sentence(db: Type, url: str, tmp_path: Path) -> None:
    result = db("downgrade")
    assert (result.exit_code, "has no revision: run flask db upgrade first" in result.stderr) == (1, True)
    with schema(url, write_version(tmp_path, "pass", oldest_compatible=NEXT_NUMBER)) as newer:
        newer.upgrade()
    assert db("upgrade").exit_code == 1
    assert f"needs a version with revision {NEXT_NUMBER} or later" in db("upgrade").stderr
    assert "undo it with the version that made it" in db("downgrade").stderr


def test_commands_of_the_outbox_refuse_a_database_that_is_out_of_date(url: str, db: Type) -> None:
    make_released(url, "0001", is_recorded=True)
    runner = create_app(Settings.from_env({"DATABASE_URL": url, "AUTO_MIGRATE": "false"})).test_cli_runner()
    result = runner.invoke(args=["outbox", "list"])
    assert (result.exit_code, "run flask db upgrade" in result.stderr) == (1, True)


def test_a_database_that_cannot_be_opened_is_reported_in_a_sentence() -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    runner = create_app(Settings.from_env({"DATABASE_URL": url})).test_cli_runner()
    for command in ("upgrade", "current", "downgrade", "history"):
        result = runner.invoke(args=["db", command])
        assert (result.exit_code, "Traceback" in result.output) == (1, False), command
        assert result.stderr.startswith("Error: the database of DATABASE_URL"), command
