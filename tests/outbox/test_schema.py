"""Which databases a version can use, and how their tables are brought up to date, on real databases."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from outboxes import claim, find, mail, opened, settle
from processes import ROOT
from schemas import HEAD, NAMES, NEXT, NEXT_NUMBER, RELEASED, content, execute, make_released, schema, write_version
from sqlalchemy import create_engine

from orderconfirm.errors import OutboxUnavailable, SchemaMismatch
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.retry import SENT
from orderconfirm.outbox.tables import metadata

ADD_COLUMN = "op.add_column('outbox', sa.Column('news', sa.Text))"
DROP_COLUMN = "op.drop_column('outbox', 'news')"

#: Opens the database of the first argument in as many processes as the second says, all at the same moment.
OPEN = """
import multiprocessing, sys
from orderconfirm.logs import configure_logging
from orderconfirm.outbox.database import Database

def open_database(url, barrier):
    barrier.wait()
    database = Database(url)
    database.open()
    database.close()
    print("open", *(name for name in ("alembic", "mako") if name in sys.modules))

configure_logging("INFO")
fork = multiprocessing.get_context("fork")
url, count = sys.argv[1], int(sys.argv[2])
barrier = fork.Barrier(count)
processes = [fork.Process(target=open_database, args=(url, barrier)) for _ in range(count)]
for process in processes:
    process.start()
for process in processes:
    process.join()
"""


def start(url: str, count: int) -> tuple[list[str], str]:
    """Open the database in several processes at once. Return a line of each that could open it, and their log."""
    done = subprocess.run(
        [sys.executable, "-c", OPEN, url, str(count)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    return done.stdout.splitlines(), done.stderr


def open_database(url: str, **options: bool) -> None:
    database = Database(url, **options)
    database.open()
    database.close()


@pytest.fixture
def url(empty_url: str) -> str:
    """The URL of a database without tables."""
    return empty_url


class TestUpgrade:
    """Databases of earlier revisions."""

    def test_the_migrations_make_the_tables_that_the_code_uses(self, url: str) -> None:
        from alembic.autogenerate import compare_metadata
        from alembic.migration import MigrationContext

        open_database(url)
        migrated = content(url)
        engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        with engine.begin() as connection:
            options = {
                "compare_type": True,
                "compare_server_default": True,
                "include_name": lambda name, kind, parents: name != "schema_compatibility",
            }
            assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
            metadata.drop_all(connection)
            metadata.create_all(connection)
        engine.dispose()
        # Alembic does not compare everything, for example not the conditions of partial indexes.
        assert content(url) == migrated

    @pytest.mark.parametrize("is_recorded", [False, True], ids=["without a record", "recorded"])
    @pytest.mark.parametrize("revision", RELEASED)
    def test_a_database_of_an_earlier_version_goes_up_and_loses_no_order(
        self, url: str, revision: str, is_recorded: bool
    ) -> None:
        make_released(url, revision, is_recorded)
        with opened(url) as queue:
            claimed = claim(queue, 10, 60)
            assert sorted(each.order_id for each in claimed) == ["K1", "K2", "K3"]
            assert all(settle(queue, each, SENT) for each in claimed)
            assert queue.add(mail("new")).is_new
        with schema(url) as found:
            assert found.revision().number == HEAD
        upgraded = [row for row in content(url) if not isinstance(row[0], int)]
        execute(url, *(f"DROP TABLE {table.name}" for table in reversed(metadata.sorted_tables)))
        execute(url, "DROP TABLE alembic_version", "DROP TABLE schema_compatibility")
        open_database(url)
        assert content(url) == upgraded

    def test_postgresql_cleans_the_table_of_the_mails_early(self, empty_postgres: str) -> None:
        def options() -> list[str] | None:
            with psycopg.connect(empty_postgres) as server:
                row = server.execute("SELECT reloptions FROM pg_class WHERE relname = 'outbox'").fetchone()
                return row[0] if row else []

        open_database(empty_postgres)
        assert options() == [
            "fillfactor=85",
            "autovacuum_vacuum_scale_factor=0.005",
            "autovacuum_vacuum_threshold=20000",
        ]
        with schema(empty_postgres) as found:
            found.downgrade("0002")
        assert options() is None

    def test_a_database_of_the_last_version_without_migrations_goes_up(self, url: str) -> None:
        """That version created the table of the second migration, and recorded nothing."""
        make_released(url, "0001")
        engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "CREATE TABLE senders (name VARCHAR(16) PRIMARY KEY, connections INTEGER NOT NULL,"
                " joined_at DOUBLE PRECISION NOT NULL, seen_at DOUBLE PRECISION NOT NULL,"
                " paused_since DOUBLE PRECISION, pause_reason TEXT, next_try_at DOUBLE PRECISION)"
            )
        engine.dispose()
        with opened(url) as queue:
            assert len(claim(queue, 10, 60)) == 3

    def test_ten_processes_that_start_at_once_migrate_once(self, url: str) -> None:
        make_released(url, "0001")
        lines, log = start(url, 10)
        assert len(lines) == 10, log
        assert log.count("the database was migrated") == 1
        with opened(url) as queue:
            assert len(claim(queue, 10, 60)) == 3

    def test_ten_processes_that_start_at_once_create_the_tables_once(self, url: str) -> None:
        lines, log = start(url, 10)
        assert len(lines) == 10, log
        assert log.count("the database was migrated") == 1

    def test_only_a_start_that_migrates_imports_alembic(self, url: str) -> None:
        assert start(url, 1)[0] == ["open alembic mako"]
        assert start(url, 1)[0] == ["open"]

    def test_without_auto_migrate_a_pending_migration_stops_the_start_and_is_named(self, url: str) -> None:
        make_released(url, "0001", is_recorded=True)
        before = content(url)
        with pytest.raises(SchemaMismatch, match=f"pending {', '.join(NAMES[1:])}: run flask db upgrade"):
            open_database(url, auto_migrate=False)
        assert content(url) == before
        open_database(url)
        open_database(url, auto_migrate=False)

    def test_without_auto_migrate_no_file_is_created(self, tmp_path: Path) -> None:
        with pytest.raises(SchemaMismatch, match="flask db upgrade"):
            open_database(f"sqlite:///{tmp_path}/outbox.db", auto_migrate=False)
        assert list(tmp_path.iterdir()) == []


class TestForeign:
    """Databases that the first migration does not fit."""

    def test_a_database_of_an_older_version_is_refused_and_stays_as_it_is(self, url: str) -> None:
        make_released(url, "0001")
        execute(
            url, "DROP TABLE suppressions", "ALTER TABLE outbox DROP COLUMN address_hash", "DROP INDEX outbox_copies"
        )
        before = content(url)
        with pytest.raises(SchemaMismatch, match="lacks suppressions, outbox.address_hash, outbox.outbox_copies: "):
            open_database(url)
        assert content(url) == before

    def test_the_revision_of_another_application_is_left_alone(self, url: str) -> None:
        execute(url, "CREATE TABLE alembic_version (version_num VARCHAR(32))")
        execute(url, "INSERT INTO alembic_version VALUES ('ae1027a6acf')")
        with pytest.raises(SchemaMismatch, match="a database of its own"):
            open_database(url)
        execute(url, "DROP TABLE alembic_version")
        assert content(url) == []


class TestFailure:
    """Migrations that cannot be carried out."""

    @pytest.mark.parametrize(
        "cause", ["op.execute('UPDATE nowhere SET a = 1')", "raise ValueError('bad data')", "op.drop_table('outbox')"]
    )
    def test_a_failing_migration_leaves_everything_as_it_was_and_names_the_cure(
        self, url: str, tmp_path: Path, cause: str
    ) -> None:
        make_released(url, "0001", is_recorded=True)
        open_database(url)
        before = content(url)
        folder = write_version(tmp_path, f"{ADD_COLUMN}; op.execute('UPDATE outbox SET news = 1'); {cause}")
        with schema(url, folder) as newer:
            with pytest.raises(
                SchemaMismatch, match=f"the migration {NEXT} failed and has changed nothing: .*continue with"
            ):
                newer.upgrade()
            assert newer.revision().number == HEAD
        assert content(url) == before
        with opened(url) as queue:
            assert len(claim(queue, 10, 60)) == 3

    def test_an_empty_database_stays_empty_when_its_first_migration_fails(self, url: str, tmp_path: Path) -> None:
        folder = write_version(tmp_path, "pass")
        first = folder / "versions" / "0001_tables.py"
        first.write_text(f"{first.read_text(encoding='utf-8')}\n\nold = upgrade\n\n\ndef upgrade(): old(); 1 / 0\n")
        with schema(url, folder) as failing, pytest.raises(SchemaMismatch, match="0001_tables failed"):
            failing.upgrade()
        assert content(url) == []
        with opened(url) as queue:
            assert queue.add(mail("1")).is_new

    def test_a_disk_that_fills_up_leaves_everything_as_it_was(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/outbox.db"
        make_released(url, "0001")
        before = content(url)
        many = "op.execute('PRAGMA max_page_count=1'); [op.execute(f'CREATE TABLE t{n} (a)') for n in range(99)]"
        with schema(url, write_version(tmp_path, many)) as newer:
            with pytest.raises(SchemaMismatch, match="disk is full"):
                newer.upgrade()
        assert content(url) == before


class TestVersions:
    """Versions beside each other, and back to the one before."""

    def test_each_step_down_and_the_way_up_again_keep_the_orders(self, url: str) -> None:
        make_released(url, "0001", is_recorded=True)
        before = content(url)
        open_database(url)
        after = content(url)
        with schema(url) as found:
            for name in reversed(NAMES[1:]):
                assert found.downgrade() == [name]
            assert found.revision().number == "0001"
            assert content(url) == before
            assert found.upgrade() == NAMES[1:]
        assert content(url) == after
        with opened(url) as queue:
            assert len(claim(queue, 10, 60)) == 3

    def test_a_downgrade_goes_down_to_any_earlier_revision(self, url: str, tmp_path: Path) -> None:
        open_database(url)
        with schema(url, write_version(tmp_path, ADD_COLUMN, DROP_COLUMN)) as newer:
            newer.upgrade()
            for target in (NEXT_NUMBER, "0099", "base", "-1"):
                with pytest.raises(
                    SchemaMismatch, match=f"has revision {NEXT_NUMBER}: choose one of 0001, 0002, .*{HEAD}"
                ):
                    newer.downgrade(target)
            assert newer.downgrade("0001") == [NEXT, *reversed(NAMES[1:])]
            with pytest.raises(SchemaMismatch, match="has revision 0001: no revision is before it"):
                newer.downgrade()

    def test_a_downgrade_of_a_newer_database_is_left_to_the_newer_version(self, url: str, tmp_path: Path) -> None:
        open_database(url)
        with schema(url, write_version(tmp_path, ADD_COLUMN)) as newer:
            newer.upgrade()
        with schema(url) as found, pytest.raises(SchemaMismatch, match="the version that made it"):
            found.downgrade()

    def test_the_version_before_goes_on_after_an_expanding_migration(self, url: str, tmp_path: Path) -> None:
        with opened(url) as running:
            running.add(mail("1"))
            with schema(url, write_version(tmp_path, ADD_COLUMN)) as newer:
                newer.upgrade()
            running.add(mail("2"))
            assert all(settle(running, each, SENT) for each in claim(running, 10, 60))
        with opened(url) as restarted:
            assert restarted.add(mail("3")).is_new
            assert find(restarted, "1").state == "sent"

    def test_the_version_before_is_refused_after_a_contracting_migration(self, url: str, tmp_path: Path) -> None:
        open_database(url)
        with schema(url, write_version(tmp_path, ADD_COLUMN, DROP_COLUMN, oldest_compatible=NEXT_NUMBER)) as newer:
            newer.upgrade()
            needed = f"revision {NEXT_NUMBER}, which needs a version with revision {NEXT_NUMBER} or later; this one has"
            with pytest.raises(SchemaMismatch, match=f"{needed} {HEAD}.* flask db downgrade {HEAD}"):
                open_database(url)
            newer.downgrade(HEAD)
        open_database(url)

    def test_each_migration_is_named_by_its_number_and_its_compatibility_never_decreases(self) -> None:
        with schema("sqlite:///nowhere/x.db") as found:
            described = found.describe()
            assert [name[:4] for name in found.migrations] == [each.number for each in described]
            assert [each.number for each in described] == [f"{n + 1:04}" for n in range(len(described))]
            oldest = [each.oldest_compatible for each in described]
            assert oldest == sorted(oldest)
            assert all(each.oldest_compatible <= each.number for each in described)
            assert described[-1].number == found.head == HEAD


def test_an_unreachable_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with schema(f"sqlite:///{tmp_path}/file/outbox.db") as found:
        with pytest.raises(OutboxUnavailable, match="DATABASE_URL"):
            found.upgrade()


def test_threads_of_one_process_can_migrate_at_once(url: str) -> None:
    make_released(url, "0001")
    with schema(url) as first, schema(url) as second, ThreadPoolExecutor(2) as threads:
        applied = list(threads.map(lambda each: each.upgrade(), (first, second)))
    assert sorted(applied) == [[], NAMES[1:]]
