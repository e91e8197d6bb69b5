"""The search for personal data in what the services print: that it can fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from factories import make_body
from printed_output import PrintedOutput
from processes import ROOT

VARIABLES = {
    "API_KEYS": "one:first-long-key,two:second-long-key",
    "DATABASE_URL": "postgresql://user:database-password@db.example/orders",
    "MAIL_PASSWORD": "relay-password",
    "MAILTRAP_WEBHOOK_SECRET": "0123456789abcdef0123456789abcdef",
}


@pytest.mark.parametrize(
    "word",
    [
        *make_body()["customer"].values(),
        "somebody.else@shop.example",
        "+49 30 1234567",
        r"Robert\"); <script>alert(1)</script> {% raw %}",
        *("first-long-key", "second-long-key", "database-password", "relay-password"),
        "0123456789abcdef0123456789abcdef",
    ],
)
def test_what_must_not_be_printed_is_found(word: str) -> None:
    output = PrintedOutput()
    output.learn(VARIABLES)
    output.examine(f'{{"event": "before"}}\n{{"event": "x", "reason": "the relay said {word}."}}', "a test")
    [finding] = output.take_findings()
    assert "the relay said" in finding
    assert output.take_findings() == []


def test_what_may_be_printed_is_not_found() -> None:
    output = PrintedOutput()
    output.learn(VARIABLES)
    output.examine(
        '{"time": "2026-11-30T15:44:41.066+00:00", "reason": "<…@example.com>", "order_id": "4711"}', "a test"
    )
    output.examine('{"request_id": "first-long-key", "event": "the caller chose this id"}', "a test")
    assert output.take_findings() == []


#: A service that prints something personal when it is stopped: in a test, or after the last one.
TESTS = """
import subprocess, sys
import pytest
from printed_output import OUTPUT

@pytest.fixture(scope="module")
def service(tmp_path_factory):
    log = tmp_path_factory.mktemp("service") / "service.log"
    code = "import sys; sys.stdin.read(); print('a mail to John Doe')"
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=file)
    OUTPUT.watch(process, log, {})
    yield process
    process.communicate()

def test_one(service):
    STOP

def test_two(service):
    pass
"""


@pytest.mark.parametrize(("stop", "failing"), [("service.communicate()", "test_one"), ("pass", "test_two")])
def test_the_run_fails_when_something_is_found(tmp_path: Path, stop: str, failing: str) -> None:
    file = tmp_path / "test_printing.py"
    file.write_text(TESTS.replace("STOP", stop))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "--rootdir", str(tmp_path), str(file)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/tests"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert f"ERROR test_printing.py::{failing}" in done.stdout
    assert "'John Doe' in" in done.stdout
