"""The start of a service: what prevents it, how that is reported, and when the service is ready."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from printed_output import OUTPUT
from processes import ROOT, free_port, log_lines, service, wait_until, wait_until_healthy
from sqlalchemy import make_url

from orderconfirm.version import VERSION


def start_and_end(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a service that cannot start, and return its output."""
    defaults = {"PORT": str(free_port()), "DATABASE_URL": f"sqlite:///{folder}/outbox.db"}
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **defaults, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=60,
    )
    OUTPUT.learn(variables)
    OUTPUT.examine(done.stdout, "a service that cannot start")
    return done


@pytest.mark.parametrize(
    "variables",
    [{"DEFAULT_LOCALE": "xx"}, {"DATABASE_URL": "sqlite:////dev/null/outbox.db"}, {"MAIL_PORT": "x"}],
    ids=["no such language", "no database", "wrong setting"],
)
def test_a_service_that_cannot_start_says_so_and_how_to_find_out_more(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    done = start_and_end(tmp_path, **variables)
    assert done.returncode != 0
    assert "orderconfirm cannot start" in done.stdout
    assert "is ready" not in done.stdout
    assert "Run flask check" in done.stdout


def test_a_postgresql_database_that_cannot_store_every_name_ends_the_start_with_one_sentence(
    tmp_path: Path, postgres: str
) -> None:
    url = make_url(postgres)
    name = f"{url.database}_ascii"
    with psycopg.connect(postgres, autocommit=True) as administrator:
        administrator.execute(f"DROP DATABASE IF EXISTS {name}")
        administrator.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
        done = start_and_end(tmp_path, DATABASE_URL=url.set(database=name).render_as_string(hide_password=False))
        administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    assert "encoding is SQL_ASCII, which cannot store every name: create one with ENCODING 'UTF8'" in done.stdout


def test_a_service_reports_ready_once_with_its_addresses(tmp_path: Path) -> None:
    port = free_port()
    with service(tmp_path, port, free_port(), WEB_CONCURRENCY="2") as process:
        [ready] = wait_until(lambda: log_lines(tmp_path, "orderconfirm is ready"), seconds=30)
        assert ready["orders"] == f"http://localhost:{port}/api/order-confirmation"
        process.terminate()
        process.wait(30)
    lines = log_lines(tmp_path)
    assert [line["event"] for line in lines].count("orderconfirm is ready") == 1
    assert (lines[0]["event"], lines[0]["version"]) == ("orderconfirm is starting", VERSION)
    printed = (tmp_path / "service.log").read_text(encoding="utf-8").splitlines()
    assert len(printed) == len(lines), "a line that is not JSON"


def test_an_unknown_setting_is_reported_at_the_start(tmp_path: Path) -> None:
    done = start_and_end(tmp_path, MAIL_SEVER="smtp.example", DEFAULT_LOCALE="xx")
    assert done.stdout.count('"reason": "MAIL_SEVER is not a setting: did you mean MAIL_SERVER?"') == 1
    assert "smtp.example" not in done.stdout


def test_a_taken_port_stops_the_start_at_once_with_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = start_and_end(tmp_path, PORT=str(port))
    assert done.returncode == 1
    assert f"orderconfirm cannot start: PORT {port} is taken" in done.stdout
    assert "in use" not in done.stdout and "Traceback" not in done.stdout


def test_an_address_of_another_machine_stops_the_start_and_is_named(tmp_path: Path) -> None:
    done = start_and_end(tmp_path, HOST="192.0.2.1")
    assert done.returncode == 1
    assert "orderconfirm cannot start: it cannot listen on 192.0.2.1:" in done.stdout
    assert "Traceback" not in done.stdout and "failed" not in done.stdout


def test_a_reload_does_not_find_its_own_port_taken(tmp_path: Path) -> None:
    port = free_port()
    with service(tmp_path, port, free_port()) as process:
        log = tmp_path / "service.log"
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "Worker exiting" in log.read_text(encoding="utf-8"), seconds=30)
        wait_until_healthy(port, process)
    assert "is taken" not in log.read_text(encoding="utf-8")
