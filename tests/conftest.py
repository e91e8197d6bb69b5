"""Fixtures with real databases, SMTP servers and services, which are closed after each test."""

from __future__ import annotations

import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from flask import Flask
from outboxes import opened, provide_file
from postgres_servers import SERVERS, database_on, replace_database
from printed_output import OUTPUT
from renderers import shared_renderer
from smtp_server import Sink, smtp_server

from orderconfirm import create_app
from orderconfirm.logs import JsonFormatter
from orderconfirm.mail import shop_renderers
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.settings import Settings

pytest_plugins = ["page_fixtures"]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Fail when a thread outlives its test."""
    before = set(threading.enumerate())
    yield
    end = time.monotonic() + 5
    while (leaked := [t for t in threading.enumerate() if t not in before and t.is_alive()]) and time.monotonic() < end:
        leaked[0].join(0.1)
    assert not leaked, f"threads still running: {leaked}"


@pytest.fixture(scope="session", autouse=True)
def templates_are_compiled_once() -> Iterator[None]:
    """Let services with the same mail settings share a renderer: compiling its templates is most of their start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shop_renderers, "MailRenderer", shared_renderer)
        yield


@pytest.fixture(scope="session", autouse=True)
def output_is_watched() -> Iterator[None]:
    """Examine what the package logs in this process, and at the end what services wrote after the last test."""
    formatter = JsonFormatter()
    with handled(lambda record: OUTPUT.examine(formatter.format(record), "this process")):
        yield
    expect_nothing_personal()


@pytest.fixture(autouse=True)
def nothing_personal_is_printed() -> Iterator[None]:
    """Fail when personal data, a key or a secret is in the output of a service or in the package's log."""
    yield
    expect_nothing_personal()


def expect_nothing_personal() -> None:
    assert OUTPUT.take_findings() == []


@pytest.fixture
def log() -> Iterator[list[str]]:
    """The messages that the package logs as warnings or errors."""
    messages: list[str] = []
    with handled(lambda record: messages.append(record.getMessage()), logging.WARNING):
        yield messages


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """The lines that the package logs, as JSON objects."""
    lines: list[dict[str, Any]] = []
    formatter = JsonFormatter()
    with handled(lambda record: lines.append(json.loads(formatter.format(record)))):
        yield lines


@contextmanager
def handled(handle: Callable[[logging.LogRecord], None], level: int = logging.NOTSET) -> Iterator[None]:
    """Call `handle` with each record that the package logs."""
    handler = logging.Handler(level)
    handler.emit = handle  # type: ignore[method-assign]
    logger = logging.getLogger("orderconfirm")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)


@pytest.fixture
def sink() -> Iterator[tuple[Sink, int]]:
    """The sink and the port of a plain SMTP server."""
    with smtp_server() as running:
        yield running


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of an empty database on a real PostgreSQL, which all tests of the session share."""
    with database_on(0) as url:
        yield url


@pytest.fixture(scope="session", params=range(max(1, len(SERVERS))), ids=SERVERS or ["no PostgreSQL"])
def each_postgres(request: pytest.FixtureRequest) -> Iterator[str]:
    """The same for each version of PostgreSQL that is found here."""
    if request.param == 0:
        yield request.getfixturevalue("postgres")
    else:
        with database_on(request.param) as url:
            yield url


@pytest.fixture
def empty_postgres(postgres: str) -> str:
    """A new database without tables on the same server."""
    return replace_database(postgres, "empty")


@pytest.fixture(scope="session")
def postgres_template(postgres: str) -> str:
    """The name of a database with the outbox's tables, for copies: they cost less than the migrations."""
    with opened(replace_database(postgres, "template")):
        return "template"


@pytest.fixture
def postgres_outbox(postgres: str, postgres_template: str) -> str:
    """A new database with the outbox's tables."""
    return replace_database(postgres, "outbox", postgres_template)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with the outbox's tables."""
    if request.param == "sqlite":
        provide_file(tmp_path / "outbox.db")
        return f"sqlite:///{tmp_path}/outbox.db"
    server: str = request.getfixturevalue("postgres_outbox")
    return server


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables; SQLite's file does not exist."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/outbox.db"
    server: str = request.getfixturevalue("empty_postgres")
    return server


@pytest.fixture
def queue(url: str) -> Iterator[OutboxQueue]:
    with opened(url) as queue:
        yield queue


@pytest.fixture
def start_app(tmp_path: Path) -> Iterator[Callable[..., Flask]]:
    """A function that starts the service in this process with given variables. It is stopped after the test.

    By default its outbox is outbox.db in the test's folder.
    """
    running: list[Flask] = []

    def start(**variables: str) -> Flask:
        if "DATABASE_URL" not in variables:
            provide_file(tmp_path / "outbox.db")
        environ = {"DATABASE_URL": f"sqlite:///{tmp_path}/outbox.db", "MAIL_TIMEOUT": "3", **variables}
        OUTPUT.learn(environ)
        app = create_app(Settings.from_env(environ))
        app.extensions["orderconfirm"].start()
        running.append(app)
        return app

    yield start
    for app in running:
        app.extensions["orderconfirm"].stop()


def relay_variables(port: int, **more: str) -> dict[str, str]:
    """Return the environment for a plain relay on this port."""
    return {
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_PORT": str(port),
        "MAIL_USE_TLS": "false",
        "EMAIL_SENDER": "Acme, Inc. <orders@acme.example>",
        "COMPANY_NAME": "Acme, Inc.",
        **more,
    }
