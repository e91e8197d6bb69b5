"""`flask check` as an operator types it, in a process of its own."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from pathlib import Path

from processes import ROOT, free_port
from schemas import write_service
from smtp_server import PASSWORD, USER, smtp_server


def check(*words: str, root: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `flask check`, or flask with other words."""
    done = subprocess.run(
        [sys.executable, "-m", "flask", *(words or ("check",))],
        cwd=root,
        env={"PATH": os.environ["PATH"], "PYTHONIOENCODING": "utf-8", **variables},
        capture_output=True,
        encoding="utf-8",
        timeout=90,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def test_a_set_up_in_order_exits_with_0_and_prints_only_json(
    tmp_path: Path, server_tls: ssl.SSLContext, ca_file: str
) -> None:
    with smtp_server(server_tls) as (sink, port):
        done = check(
            "check",
            "--json",
            DATABASE_URL=f"sqlite:///{tmp_path}/outbox.db",
            MAIL_SERVER="localhost",
            MAIL_PORT=str(port),
            MAIL_USERNAME=USER,
            MAIL_PASSWORD=PASSWORD,
            MAIL_CA_FILE=ca_file,
            EMAIL_SENDER="orders@acme.example",
        )
    findings = json.loads(done.stdout)
    assert all(sorted(finding) == ["advice", "found", "name", "status"] for finding in findings)
    status = {finding["name"]: finding["status"] for finding in findings}
    assert (status["sender"], status["templates"], status["database"]) == ("ok", "ok", "ok")
    assert (done.returncode, done.stderr) == (0, "")
    assert PASSWORD not in done.stdout
    assert (sink.mails, sink.recipients) == ([], [])
    assert list(tmp_path.iterdir()) == []


def test_settings_with_which_the_service_does_not_start_are_all_named_after_options_of_flask(tmp_path: Path) -> None:
    root = write_service(tmp_path, "pass")
    (root / ".env").write_text("COMPANY_NAME=Acme\nEMAIL_SENDER orders@acme.example\n", encoding="utf-8")
    (root / "service.env").write_text("MAIL_PORT=five\nBRAND_COLOR=red\n", encoding="utf-8")
    options = ("--app", "wsgi", "--env-file", "service.env")
    done = check(
        *options, "check", root=root, MAIL_CA_FILE="/nowhere.pem", DATABASE_URL="sqlite:////dev/null/outbox.db"
    )
    assert done.returncode == 1
    for name, words in (
        (".env", ".env, line 2 cannot be read"),
        ("settings", "MAIL_PORT must be"),
        ("settings", "BRAND_COLOR must be"),
        ("settings", "MAIL_CA_FILE is not"),
        ("files", "/dev/null is not a folder"),
    ):
        assert any(line.startswith(f"  ✗ {name} ") and words in line for line in done.stdout.splitlines()), words
    assert "– relay" in done.stdout and "✓ templates" in done.stdout
    assert "\x1b" not in done.stdout


def test_several_troubles_are_named_on_a_terminal_without_unicode(
    tmp_path: Path, server_tls: ssl.SSLContext, ca_file: str
) -> None:
    (tmp_path / "order_confirmation.txt").write_text("{{ order.nothing }}", encoding="utf-8")
    with smtp_server(server_tls) as (sink, port):
        sink.password = "another"
        done = check(
            PYTHONIOENCODING="ascii",
            LC_ALL="POSIX",
            DATABASE_URL=f"postgresql://orders:pa55word@127.0.0.1:{free_port()}/orders",
            TEMPLATES_DIR=str(tmp_path),
            MAIL_SERVER="localhost",
            MAIL_PORT=str(port),
            MAIL_USERNAME=USER,
            MAIL_PASSWORD=PASSWORD,
            MAIL_CA_FILE=ca_file,
            EMAIL_SENDER="orders@acme.example",
        )
    troubles = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("  x ")]
    assert (done.returncode, troubles) == (1, ["database", "templates", "login"])
    assert done.stdout.splitlines()[-1].startswith("3 errors (x), ")
    assert done.stdout.isascii()
    assert PASSWORD not in done.stdout and "pa55word" not in done.stdout


def test_an_order_named_check_is_not_the_command(tmp_path: Path) -> None:
    done = check("outbox", "show", "check", DATABASE_URL=f"sqlite:///{tmp_path}/outbox.db")
    assert (done.returncode, "No such command" in done.stderr, "check" in done.stderr) == (1, False, True)
