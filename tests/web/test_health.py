"""Health checks: dead threads, a database that is read-only, locked or silent, and the key of /metrics."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import closing

import pytest
from conftest import relay_variables
from database_proxy import database_proxy
from flask import Flask
from outboxes import locked
from processes import wait_until
from smtp_server import Sink
from sqlalchemy import Connection

from orderconfirm import create_app
from orderconfirm.runtime import HEALTH_TIMEOUT
from orderconfirm.settings import Settings

StartApp = Callable[..., Flask]


def end_thread(_: Connection) -> None:
    raise SystemExit  # ends a thread without a word


def test_a_running_process_is_alive(start_app: StartApp) -> None:
    response = start_app().test_client().get("/livez")
    assert (response.status_code, response.get_json()) == (200, {"status": "alive", "reason": None})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_process_without_its_writing_thread_is_dead(start_app: StartApp) -> None:
    app = start_app()
    writer = app.extensions["orderconfirm"].database._writer
    writer._timeout = 0.1
    writer.do_all([(lambda connection, items: end_thread(connection), None)])
    response = wait_until(lambda: (got := app.test_client().get("/livez")).status_code == 503 and got)
    assert response.get_json() == {"status": "dead", "reason": "these threads have ended: outbox-writer"}


def test_a_process_that_waits_for_its_database_is_alive_but_not_ready() -> None:
    app = create_app(Settings.from_env({"DATABASE_URL": "sqlite:////nowhere/outbox.db"}))
    runtime = app.extensions["orderconfirm"]
    runtime.start(keeps_trying=True)
    try:
        assert app.test_client().get("/livez").status_code == 200
        assert app.test_client().get("/readyz").status_code == 503
    finally:
        runtime.stop()


def test_a_read_only_database_makes_the_process_unready_until_it_can_be_written(start_app: StartApp, url: str) -> None:
    app = start_app(DATABASE_URL=url)
    client = app.test_client()

    def make(is_read_only: bool) -> None:
        statement = (
            f"PRAGMA query_only={is_read_only}"
            if url.startswith("sqlite")
            else f"SET SESSION CHARACTERISTICS AS TRANSACTION READ {'ONLY' if is_read_only else 'WRITE'}"
        )
        with closing(app.extensions["orderconfirm"].database._writing.raw_connection()) as connection:
            connection.cursor().execute(statement).close()
            connection.commit()

    make(is_read_only=True)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert re.search("read.?only", response.get_json()["reason"])
    assert client.get("/livez").status_code == 200
    make(is_read_only=False)
    assert client.get("/readyz").status_code == 200


def test_the_check_of_a_write_leaves_no_row(start_app: StartApp, url: str) -> None:
    app = start_app(DATABASE_URL=url)
    assert app.test_client().get("/readyz").status_code == 200
    with app.extensions["orderconfirm"].database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM clock_jumps").scalar_one() == 0


def test_a_database_that_loses_every_packet_is_reported_within_the_limit(
    start_app: StartApp, postgres_outbox: str, sink: tuple[Sink, int]
) -> None:
    with database_proxy(postgres_outbox) as proxy:
        app = start_app(**relay_variables(sink[1], DATABASE_URL=proxy.url))
        client = app.test_client()
        assert client.get("/readyz").status_code == 200
        proxy.is_frozen = True
        for path in ("/readyz", "/ready", "/metrics"):
            began = time.monotonic()
            response = client.get(path)
            assert time.monotonic() - began < 2 * HEALTH_TIMEOUT + 1
            assert response.status_code == 503 if path != "/metrics" else "database_up 0.0" in response.text
        assert client.get("/livez").status_code == 200
        proxy.is_frozen = False
        wait_until(lambda: client.get("/readyz").status_code == 200, seconds=30)


def test_a_locked_database_makes_the_process_unready_until_it_is_free_and_the_holder_is_named(
    start_app: StartApp, url: str
) -> None:
    client = start_app(DATABASE_URL=url).test_client()
    with locked(url, "clock_jumps") as holder:
        response = client.get("/readyz")
        reason = response.get_json()["reason"]
        assert response.status_code == 503
        assert reason.startswith("the database is locked by another process, ") and f" {holder}" in reason
        assert "end it" in reason
        assert client.get("/livez").status_code == 200
        page = client.get("/outbox").get_data(as_text=True)
        assert f"T{reason[1:].partition(' for ')[0]}" in page and ">in use<" not in page
    wait_until(lambda: client.get("/readyz").status_code == 200, seconds=20)


class TestTheKeyOfTheMetrics:
    def test_is_required_if_there_is_one(self, start_app: StartApp) -> None:
        client = start_app(METRICS_KEY="s3cret").test_client()
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic s3cret"}, {"X-API-Key": "é"}):
            response = client.get("/metrics", headers=headers)
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
        assert client.get("/metrics", headers={"Authorization": "Bearer s3cret"}).status_code == 200

    def test_is_not_that_of_a_shop(self, start_app: StartApp) -> None:
        key = "k" * 32
        client = start_app(METRICS_KEY="s3cret", API_KEYS=f"shop:{key}").test_client()
        assert client.get("/metrics", headers={"Authorization": f"Bearer {key}"}).status_code == 401

    def test_opens_nothing_else(self, start_app: StartApp) -> None:
        client = start_app(METRICS_KEY="s3cret").test_client()
        for path in ("/health", "/livez", "/readyz", "/ready"):
            assert client.get(path).status_code == 200, path
