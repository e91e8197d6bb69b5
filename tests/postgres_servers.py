"""The PostgreSQL servers of the tests: the one of TEST_DATABASE_URL, or else those of this machine."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy.engine import make_url

from benchmarks.postgres import installed_programs, postgres_server

_GIVEN = os.environ.get("TEST_DATABASE_URL")
#: The servers' names. The first is the one that most tests use.
SERVERS = ["TEST_DATABASE_URL"] if _GIVEN else [f"PostgreSQL {each.version}" for each in installed_programs()]
#: No test cuts the power.
_OPTIONS = "-c fsync=off -c full_page_writes=off"


@contextmanager
def database_on(number: int) -> Iterator[str]:
    """Yield the URL of an empty database on the server with this number in SERVERS."""
    if _GIVEN:
        with _new_database(_GIVEN) as url:
            yield url
    elif number < len(SERVERS):
        with postgres_server(installed_programs()[number], _OPTIONS) as url:
            yield url
    else:
        reason = "no PostgreSQL: set TEST_DATABASE_URL, or install PostgreSQL's server or the test requirements"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


def replace_database(server_url: str, name: str, template: str = "template1") -> str:
    """Create a database as a copy of `template`, in place of the one that had this name, and return its URL.

    `server_url` is that of `database_on`, and the names are this process's own.
    """
    with psycopg.connect(server_url, autocommit=True) as session:
        prefix = session.info.dbname
        template = template if template == "template1" else f"{prefix}_{template}"
        session.execute(f"DROP DATABASE IF EXISTS {prefix}_{name} WITH (FORCE)")
        session.execute(f"CREATE DATABASE {prefix}_{name} TEMPLATE {template}")
    return _with_database(server_url, f"{prefix}_{name}")


@contextmanager
def _new_database(server_url: str) -> Iterator[str]:
    """Yield the URL of a new database on a server that other processes may use, and drop it at the end."""
    name = f"orderconfirm_test_{secrets.token_hex(8)}"
    with psycopg.connect(server_url, autocommit=True) as session:
        session.execute(f"CREATE DATABASE {name}")
        try:
            yield _with_database(server_url, name)
        finally:
            made = session.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (name,)).fetchall()
            for (each,) in made:
                session.execute(f"DROP DATABASE {each} WITH (FORCE)")


def _with_database(server_url: str, name: str) -> str:
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)
