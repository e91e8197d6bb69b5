"""`flask outbox copy` as an operator types it: a process that is killed, repeated, and given wrong targets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from outboxes import claim, mail, opened, settle
from outboxes import run as run_sql
from processes import NO_OTHER_RELAY, ROOT, wait_until

from orderconfirm.outbox.retry import SENT

ORDERS = 30
#: Stops the command behind the orders, before the history.
STALL = """
CREATE OR REPLACE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(300); RETURN NEW; END $$;
CREATE TRIGGER stall BEFORE INSERT ON suppressions FOR EACH ROW EXECUTE FUNCTION stall()
"""
STALLED = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'INSERT INTO suppressions%' AND state = 'active'"
TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO suppressions%'"


def copy(source: str, target: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "outbox", "copy", "--to", target]
    environ = {**os.environ, **NO_OTHER_RELAY, "DATABASE_URL": source}
    return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(source: str, target: str) -> tuple[int, str]:
    process = copy(source, target)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


@pytest.fixture
def source(tmp_path: Path) -> str:
    """The URL of an outbox with orders, history and a suppressed address."""
    url = f"sqlite:///{tmp_path}/outbox.db"
    with opened(url) as queue:
        for number in range(ORDERS):
            queue.add(mail(f"{number}"))
        [claimed] = claim(queue, 1, 60)
        settle(queue, claimed, SENT)
        run_sql(queue, "INSERT INTO suppressions (shop, address_hash, since, event) VALUES ('shop', 'h', 1, 'bounce')")
    return url


def test_a_copy_that_is_killed_goes_on_where_it_stopped(source: str, empty_postgres: str) -> None:
    with opened(empty_postgres):
        pass
    execute(empty_postgres, STALL)
    process = copy(source, empty_postgres)
    # Seen from another database: a session in this one would count as another service.
    with psycopg.connect(empty_postgres, dbname="template1", autocommit=True) as session:
        wait_until(lambda: session.execute(STALLED).fetchone(), seconds=60)
        process.kill()
        output, _ = process.communicate()
        assert "rows, the same in both" not in output
        session.execute(TERMINATE)
        wait_until(lambda: session.execute(STALLED).fetchone() is None)
    execute(empty_postgres, "DROP FUNCTION stall CASCADE")
    assert execute(empty_postgres, "SELECT count(*) FROM outbox") == [(ORDERS,)]
    wait_until(lambda: run(source, empty_postgres)[0] == 0, seconds=60)
    code, output = run(source, empty_postgres)
    assert (code, output.count("rows, the same in both")) == (0, 10), output
    assert "Set DATABASE_URL to the new database" in output
    with opened(empty_postgres) as queue:
        assert len(claim(queue, 2 * ORDERS, 60)) == ORDERS - 1


def execute(url: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as session:
        cursor = session.execute(sql)
        return cursor.fetchall() if cursor.description else []


def test_a_copy_to_a_wrong_target_is_refused_without_its_password(source: str, tmp_path: Path) -> None:
    for target, words in (
        ("mysql://me:secret@127.0.0.1/shop", "must be sqlite:///file or postgresql://"),
        ("postgresql://me:secret@127.0.0.1:1/shop", "the target (postgresql shop) cannot be opened"),
        (source, "the same database"),
    ):
        code, output = run(source, target)
        assert code != 0 and words in output, output
        assert "secret" not in output
