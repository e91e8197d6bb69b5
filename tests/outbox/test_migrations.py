"""How a migration runs beside processes that write, that migrate or that are killed, on real databases."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from outboxes import claim, locked, mail, opened
from processes import ROOT, wait_until
from schemas import HEAD, NAMES, NEXT, content, make_released, schema, write_version

from orderconfirm.errors import OutboxUnavailable, SchemaMismatch
from orderconfirm.outbox.migrations.lock import migration_lock

CREATE_INDEX = "create_index('outbox_news', 'outbox', ['order_id'], 'attempts > 0')"
DROP_INDEX = "drop_index('outbox_news', 'outbox')"
DEFINITION = "CREATE INDEX outbox_news ON public.outbox USING btree (order_id) WHERE (attempts > 0)"


@contextmanager
def transaction(url: str, statement: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A transaction on PostgreSQL that has executed a statement. It is rolled back at the end."""
    with psycopg.connect(url) as server:
        server.execute(statement)
        yield server
        server.rollback()


def valid_indexes(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as server:
        return server.execute(
            "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indisvalid AND"
            " indexrelid = to_regclass('outbox_news')"
        ).fetchall()


def waits(url: str, statement: str) -> bool:
    """Whether a session waits for others in `statement`."""
    with psycopg.connect(url) as server:
        found = server.execute(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s", (f"{statement}%",)
        )
        return found.fetchone() is not None


@pytest.fixture
def url(empty_url: str) -> str:
    """The URL of a database without tables."""
    return empty_url


class TestLock:
    """One process migrates, and the others wait."""

    def test_a_process_waits_until_another_one_has_migrated(self, url: str, log: list[str]) -> None:
        make_released(url, "0001")
        with schema(url) as first, schema(url) as second, ThreadPoolExecutor(1) as threads:
            with migration_lock(first._migrating):
                waiting = threads.submit(second.upgrade)
                wait_until(lambda: "waiting for another process before the database is migrated" in log)
                assert not waiting.done()
            assert waiting.result(30) == NAMES[1:]

    def test_the_wait_for_another_process_has_an_end(self, url: str) -> None:
        make_released(url, "0001")
        with schema(url) as first, schema(url) as second, migration_lock(first._migrating):
            with pytest.raises(OutboxUnavailable, match=r"not migrated: another process has held its lock for 0\.1 s"):
                with migration_lock(second._migrating, timeout=0.1):
                    pass

    def test_a_process_that_is_killed_while_it_migrates_leaves_everything_as_it_was(
        self, url: str, tmp_path: Path
    ) -> None:
        make_released(url, "0001")
        with schema(url) as found:
            found.upgrade()
        before = content(url)
        os.mkfifo(tmp_path / "reached")
        # The migration ends only when somebody writes to the pipe, and nobody does.
        change = "op.add_column('outbox', sa.Column('news', sa.Text)); op.execute('UPDATE outbox SET news = 1')"
        folder = write_version(tmp_path, f"{change}; print('reached', flush=True); open('{tmp_path}/reached').read()")
        code = (
            "import sys; from schemas import schema; from pathlib import Path\n"
            "with schema(sys.argv[1], Path(sys.argv[2])) as newer: newer.upgrade()"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code, url, str(folder)],
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/tests"},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        assert process.stdout.readline() == "reached\n"
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)
        with opened(url) as queue, schema(url) as found:
            assert content(url) == before
            assert found.revision().number == HEAD
            assert len(claim(queue, 10, 60)) == 3
        folder = write_version(tmp_path, change)
        with schema(url, folder) as newer:
            assert newer.upgrade() == [NEXT]


class TestIndexes:
    """Indexes on a table that is in use."""

    def test_an_index_is_created_and_dropped(self, url: str, tmp_path: Path) -> None:
        make_released(url, "0001")
        with schema(url, write_version(tmp_path, CREATE_INDEX, DROP_INDEX)) as newer:
            newer.upgrade()
            assert "outbox_news" in str(content(url))
            newer.downgrade()
            assert "outbox_news" not in str(content(url))

    def test_orders_are_accepted_while_postgresql_creates_an_index(self, empty_postgres: str, tmp_path: Path) -> None:
        """An index that is not created concurrently waits for all writers, and all later writers wait for it."""
        folder = write_version(tmp_path, CREATE_INDEX)
        with opened(empty_postgres) as queue, schema(empty_postgres, folder) as newer, ThreadPoolExecutor(1) as threads:
            queue.add(mail("1"))
            with transaction(empty_postgres, "UPDATE outbox SET attempts = 1"):
                upgrade = threads.submit(newer.upgrade)
                wait_until(lambda: waits(empty_postgres, "CREATE INDEX CONCURRENTLY"))
                assert queue.add(mail("2")).is_new
                assert not upgrade.done()
            assert upgrade.result(30) == [NEXT]
        assert valid_indexes(empty_postgres) == [(DEFINITION,)]

    def test_processes_that_wait_for_the_migration_do_not_keep_it_from_creating_an_index(
        self, empty_postgres: str, tmp_path: Path
    ) -> None:
        """CREATE INDEX CONCURRENTLY waits for every transaction with a snapshot, also for one that waits for a lock."""
        make_released(empty_postgres, "0001")
        folder = write_version(tmp_path, CREATE_INDEX)
        with (
            schema(empty_postgres, folder) as first,
            schema(empty_postgres, folder) as second,
            ThreadPoolExecutor(2) as threads,
        ):
            applied = list(threads.map(lambda each: each.upgrade(), (first, second)))
        assert sorted(applied) == [[], [*NAMES[1:], NEXT]]
        assert valid_indexes(empty_postgres) == [(DEFINITION,)]

    def test_an_index_that_a_killed_process_left_unfinished_is_replaced(
        self, empty_postgres: str, tmp_path: Path
    ) -> None:
        make_released(empty_postgres, "0001")
        with psycopg.connect(empty_postgres, autocommit=True) as server:
            server.execute("CREATE INDEX outbox_news ON outbox (shop)")
            server.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'outbox_news'::regclass")
        with schema(empty_postgres, write_version(tmp_path, CREATE_INDEX)) as newer:
            newer.upgrade()
        assert valid_indexes(empty_postgres) == [(DEFINITION,)]

    def test_an_index_that_cannot_be_created_leaves_nothing(self, empty_postgres: str, tmp_path: Path) -> None:
        make_released(empty_postgres, "0001")
        divided_by_zero = CREATE_INDEX.replace("attempts > 0", "1 / attempts > 0")
        with schema(empty_postgres, write_version(tmp_path, divided_by_zero)) as newer:
            with pytest.raises(SchemaMismatch, match="division by zero"):
                newer.upgrade()
        assert "outbox_news" not in str(content(empty_postgres))


class TestBusyTables:
    """Changes of a table that is in use."""

    def test_a_migration_lets_others_pass_while_it_waits_for_a_table(
        self, empty_postgres: str, tmp_path: Path, log: list[str]
    ) -> None:
        """A reader holds the table for long, as pg_dump does. A waiting ALTER TABLE blocks all who come after it."""
        folder = write_version(tmp_path, "op.add_column('outbox', sa.Column('news', sa.Text))")
        with opened(empty_postgres) as queue, schema(empty_postgres, folder) as newer, ThreadPoolExecutor(1) as threads:
            with transaction(empty_postgres, "SELECT * FROM outbox"):
                upgrade = threads.submit(newer.upgrade)
                wait_until(lambda: "a migration waits for a lock" in log)
                assert queue.add(mail("1")).is_new
                assert not upgrade.done()
            assert upgrade.result(30) == [NEXT]

    def test_a_migration_of_a_busy_file_waits_for_its_turn(self, tmp_path: Path, log: list[str]) -> None:
        url = f"sqlite:///{tmp_path}/outbox.db"
        make_released(url, "0001")
        with schema(url) as found, ThreadPoolExecutor(1) as threads:
            with locked(url):
                upgrade = threads.submit(found.upgrade)
                wait_until(lambda: log)
            assert upgrade.result(30) == NAMES[1:]

    def test_a_table_that_sqlite_must_copy_keeps_its_rows_and_those_that_refer_to_it(
        self, url: str, tmp_path: Path
    ) -> None:
        make_released(url, "0001")
        copy = "with op.batch_alter_table('outbox') as table: table.alter_column('address_hash', nullable=False)"
        with schema(url, write_version(tmp_path, copy)) as newer:
            newer.upgrade()
        with opened(url) as queue:
            assert len(claim(queue, 10, 60)) == 3
            with queue._database.reading() as connection:
                joined = "SELECT count(*) FROM history JOIN outbox ON outbox.id = history.mail_id"
                assert connection.exec_driver_sql(joined).scalar_one() == 3

    def test_a_migration_that_loses_a_row_to_which_others_refer_fails(self, url: str, tmp_path: Path) -> None:
        make_released(url, "0001")
        with schema(url) as found:
            found.upgrade()
        before = content(url)
        with schema(url, write_version(tmp_path, "op.execute('DELETE FROM outbox WHERE id = 1')")) as newer:
            with pytest.raises(SchemaMismatch, match=f"{NEXT} failed and has changed nothing: .*history"):
                newer.upgrade()
        assert [row for row in content(url) if "K1" in row] == [row for row in before if "K1" in row]
