"""The database of a set-up, as flask check sees it."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest
from findings import named, statuses
from outboxes import locked, mail, opened, run
from processes import free_port
from schemas import NEXT, make_released, schema, write_version
from sqlalchemy.engine import make_url

from orderconfirm.checks.database import examine_database
from orderconfirm.checks.findings import Finding
from orderconfirm.outbox.clock import DISTRUST_SECONDS
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.settings import Settings

PARTS = ("writing", "clock", "senders", "outbox")


def add_sender(queue: OutboxQueue, pause: str = "NULL, NULL, NULL, NULL") -> None:
    """Add the row of a sender, with the time, the reason and the end of its pause, and the advice."""
    now = time.time()
    columns = "name, connections, joined_at, seen_at, paused_since, pause_reason, next_try_at, pause_advice"
    run(queue, f"INSERT INTO senders ({columns}) VALUES ('a', 1, {now}, {now}, {pause})")


def examine(url: str, **changes: str) -> list[Finding]:
    findings = list(examine_database(Settings.from_env({"DATABASE_URL": url, **changes})))
    # The file system of the tests may be any.
    return [finding for finding in findings if finding.name not in ("file system", "files", "disk")]


def changed(url: str, database: str = "", **query: str) -> str:
    """The URL of another database on the same server, or with more parameters of libpq."""
    parsed = make_url(url)
    return (
        parsed.set(database=database or parsed.database).update_query_dict(query).render_as_string(hide_password=False)
    )


@pytest.fixture
def url(empty_url: str) -> str:
    """The URL of a database without tables."""
    return empty_url


def test_a_database_in_order_is_right_and_stays_as_it_is(url: str) -> None:
    with opened(url) as queue:
        queue.add(mail("K1"))
    findings = examine(url)
    assert statuses(findings) == dict.fromkeys(("database", "schema", *PARTS), "ok")
    kind = "SQLite 3." if url.startswith("sqlite") else "PostgreSQL "
    assert named(findings, "database").found.startswith(kind)
    assert named(findings, "outbox").found == "1 waiting, 0 need a person"


def test_a_database_that_does_not_exist_is_not_created(tmp_path: Path) -> None:
    assert statuses(examine(f"sqlite:///{tmp_path}/outbox.db")) == {"database": "ok"}
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_cannot_be_created_is_not_promised(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert statuses(examine(f"sqlite:///{tmp_path}/file/outbox.db")) == {"database": "skipped"}


def test_a_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "outbox.db").write_bytes(b"not a database, but long enough to look like one" * 100)
    findings = examine(f"sqlite:///{tmp_path}/outbox.db")
    assert "file is not a database" in named(findings, "database").found
    assert statuses(findings) == {"database": "error", "schema": "skipped", **dict.fromkeys(PARTS, "skipped")}


def test_a_server_that_is_away_is_an_error_without_the_password() -> None:
    findings = examine(f"postgresql://orders:pa55word@127.0.0.1:{free_port()}/orders")
    assert statuses(findings) == {"database": "error", "schema": "skipped", **dict.fromkeys(PARTS, "skipped")}
    assert "check that the server runs" in findings[0].advice
    assert "pa55word" not in str(findings)


def test_a_database_that_the_server_does_not_have_is_an_error(postgres: str) -> None:
    finding = examine(changed(postgres, database="other"))[0]
    assert (finding.status, "does not exist" in finding.found) == ("error", True)
    assert finding.advice.startswith("correct the user")


def test_pending_migrations_are_an_error_only_if_the_start_does_not_apply_them(url: str) -> None:
    make_released(url, "0001", is_recorded=True)
    assert statuses(examine(url))["schema"] == "ok"
    findings = examine(url, AUTO_MIGRATE="false")
    assert (named(findings, "schema").status, named(findings, "schema").advice) == ("error", "run flask db upgrade")
    assert named(findings, "schema").found.startswith("0002_senders")


def test_a_database_of_a_newer_version_is_an_error_if_that_version_says_so(url: str, tmp_path: Path) -> None:
    with schema(url, write_version(tmp_path, "pass", oldest_compatible=NEXT[:4])) as newer:
        newer.upgrade()
    findings = examine(url)
    assert f"needs a version with revision {NEXT[:4]} or later" in named(findings, "schema").found
    assert named(findings, "schema").advice.startswith("start a newer version")
    assert [finding.name for finding in findings if finding.status == "skipped"] == list(PARTS)


def test_a_locked_database_is_an_error(url: str) -> None:
    with opened(url):
        pass
    with locked(url) as holder:
        findings = examine(url)
    assert statuses(findings) == {**dict.fromkeys(("database", "schema", *PARTS), "ok"), "writing": "error"}
    writing = named(findings, "writing")
    assert writing.found.startswith("the database is locked by another process, ") and f" {holder}" in writing.found
    assert "end it" in writing.advice


def test_while_the_database_is_locked_the_senders_are_not_right(url: str) -> None:
    with opened(url) as queue:
        add_sender(queue)
    with locked(url):
        finding = named(examine(url), "senders")
    assert (finding.status, finding.advice.startswith("see writing")) == ("warning", True)


@pytest.mark.parametrize(
    ("senders", "advice"), [(1, "restart the service"), (0, "start the service")], ids=["stuck", "stopped"]
)
def test_senders_that_send_nothing_although_mails_are_due_are_not_right(url: str, senders: int, advice: str) -> None:
    with opened(url) as queue:
        queue.add(mail("K1"))
        for _ in range(senders):
            add_sender(queue)
        assert named(examine(url), "senders").status == "ok"
        run(queue, "UPDATE outbox SET accepted_at = accepted_at - 300, due_at = due_at - 300")
        finding = named(examine(url), "senders")
    assert (finding.status, "nothing has been sent for two minutes" in finding.found) == ("warning", True)
    assert finding.advice.startswith(advice)


def test_a_database_that_may_only_be_read_is_an_error(empty_postgres: str) -> None:
    with opened(empty_postgres):
        pass
    findings = examine(changed(empty_postgres, options="-c default_transaction_read_only=on"))
    assert "read-only" in named(findings, "writing").found


def test_a_user_who_may_not_create_tables_is_named_before_the_first_start(empty_postgres: str) -> None:
    with psycopg.connect(empty_postgres, autocommit=True) as session:
        session.execute("DROP ROLE IF EXISTS reader")
        session.execute("CREATE ROLE reader LOGIN")
        session.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        finding = named(examine(changed(empty_postgres, options="-c role=reader")), "schema")
        session.execute("DROP ROLE reader")
    assert (finding.status, finding.advice.startswith("grant CREATE")) == ("error", True)


def test_a_full_outbox_and_mails_that_nobody_sends_are_named(url: str) -> None:
    with opened(url) as queue:
        queue.add(mail("K1"))
        run(queue, "UPDATE outbox SET due_at = due_at - 3600")
    assert statuses(examine(url, OUTBOX_MAX_PENDING="1"))["outbox"] == "error"
    finding = named(examine(url), "outbox")
    assert (finding.status, "due for 60 minutes" in finding.found) == ("warning", True)


def test_mails_that_need_a_person_are_a_warning(url: str) -> None:
    with opened(url) as queue:
        queue.add(mail("K1"))
        run(queue, "UPDATE outbox SET state = 'failed'")
    assert named(examine(url), "outbox").found == "0 waiting, 1 need a person"
    assert named(examine(url), "outbox").status == "warning"


def test_a_clock_that_jumped_is_a_warning(url: str) -> None:
    with opened(url) as queue:
        values = f"{time.time() - 60}, {time.time() + DISTRUST_SECONDS}, 86400"
        run(queue, f"INSERT INTO clock_jumps (noticed_at, trusted_from, seconds) VALUES ({values})")
    assert statuses(examine(url))["clock"] == "warning"


def test_no_sender_is_a_warning_if_this_service_does_not_send(url: str) -> None:
    with opened(url):
        pass
    assert statuses(examine(url, SENDER="off"))["senders"] == "warning"


def test_a_paused_sender_is_shown_with_its_reason(url: str) -> None:
    now = time.time()
    with opened(url) as queue:
        add_sender(queue, f"{now - 60}, 'auth: 535 refused', {now + 60}, 'compare the passwords'")
    finding = named(examine(url), "senders")
    assert (finding.status, "auth: 535 refused" in finding.found) == ("warning", True)
    assert finding.advice.startswith("compare the passwords; ")
