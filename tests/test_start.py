"""How a process starts: what stops it, and that it says so; and that it is ready only once it serves."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT, free_port, service, wait_until, wait_until_healthy


def start_and_end(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """A service that cannot start: its output, once it has ended by itself."""
    defaults = {"PORT": str(free_port()), "DATABASE_URL": f"sqlite:///{folder}/outbox.db"}
    return subprocess.run(
        [sys.executable, "-m", "gunicorn"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **defaults, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=60,
    )


@pytest.mark.parametrize(
    "variables",
    [{"DEFAULT_LOCALE": "xx"}, {"DATABASE_URL": f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"}],
    ids=["no such language", "no database"],
)
def test_a_service_that_cannot_start_never_says_that_it_is_ready(tmp_path: Path, variables: dict[str, str]) -> None:
    done = start_and_end(tmp_path, **variables)
    assert done.returncode != 0
    assert "orderconfirm cannot start" in done.stdout
    assert "is ready" not in done.stdout


def test_a_service_says_once_that_it_is_ready_and_where(tmp_path: Path) -> None:
    port = free_port()
    with service(tmp_path, port, free_port(), WEB_CONCURRENCY="2") as process:
        log = tmp_path / "service.log"
        ready = wait_until(lambda: re.findall("is ready.*", log.read_text(encoding="utf-8")), seconds=30)
        assert f"orders: http://localhost:{port}/api/order-confirmation" in ready[0]
        process.terminate()
        process.wait(30)
    assert log.read_text(encoding="utf-8").count("is ready") == 1


def test_a_name_that_is_not_known_is_told_at_the_start(tmp_path: Path) -> None:
    done = start_and_end(tmp_path, MAIL_SEVER="smtp.example", DEFAULT_LOCALE="xx")
    assert done.stdout.count("[WARNING] MAIL_SEVER is not a setting: did you mean MAIL_SERVER?") == 1
    assert "smtp.example" not in done.stdout


def test_a_port_that_is_taken_is_one_sentence_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = start_and_end(tmp_path, PORT=str(port))
    assert done.returncode == 1
    assert f"orderconfirm cannot start: PORT {port} is taken" in done.stdout
    assert "in use" not in done.stdout and "Traceback" not in done.stdout


def test_an_address_that_is_not_this_machine_s_is_named(tmp_path: Path) -> None:
    done = start_and_end(tmp_path, HOST="192.0.2.1")
    assert done.returncode == 1
    assert "orderconfirm cannot start: it cannot listen on 192.0.2.1:" in done.stdout
    assert "Traceback" not in done.stdout and "failed" not in done.stdout


def test_a_reload_keeps_the_port(tmp_path: Path) -> None:
    """Which is taken by then: by the service itself."""
    port = free_port()
    with service(tmp_path, port, free_port()) as process:
        log = tmp_path / "service.log"
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "Worker exiting" in log.read_text(encoding="utf-8"), seconds=30)
        wait_until_healthy(port, process)
    assert "is taken" not in log.read_text(encoding="utf-8")
