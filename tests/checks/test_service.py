"""Settings, `.env` and the service itself."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from findings import named, statuses

from orderconfirm.checks.configuration import read_configuration
from orderconfirm.checks.findings import Finding
from orderconfirm.checks.service import examine_service
from orderconfirm.settings import Settings

MAILTRAP = {"MAILTRAP_API_TOKEN": "token-of-the-account", "EMAIL_SENDER": "orders@acme.example"}


def examine(environ: dict[str, str] | None = None, **variables: str) -> list[Finding]:
    return list(examine_service(Settings.from_env(variables), environ or {}))


def test_all_wrong_settings_and_lines_are_named_at_once_and_no_value_is(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("COMPANY_NAME=Acme\nMAIL_SERVER smtp.example\n\nMAIL_SEVER=x\n", encoding="utf-8")
    environ = {
        "MAIL_PORT": "five-eight-seven",
        "BRAND_COLOR": "reddish",
        "MAIL_CA_FILE": "/nowhere.pem",
        "MAIL_HSOT": "h",
    }
    configuration = read_configuration({**environ, "MAIL_TIMEOUT": "25", "MAIL_SEVER": "x"}, dotenv)
    found = [(finding.name, finding.status.value, finding.found) for finding in configuration.findings]
    assert found == [
        (".env", "error", ".env, line 2 cannot be read"),
        (".env", "error", "MAIL_SEVER in .env is not a setting"),
        ("settings", "error", "BRAND_COLOR must be a colour like #0b5fff"),
        ("settings", "error", "MAIL_PORT must be a whole number"),
        ("settings", "error", "MAIL_CA_FILE is not a readable PEM file of certificates"),
        ("settings", "error", named_stop_timeout(configuration.findings)),
        ("settings", "warning", "MAIL_HSOT is not a setting"),
    ]
    assert all(finding.advice for finding in configuration.findings)
    assert configuration.wrong_among(("MAIL_", "STOP_TIMEOUT")) == ["MAIL_CA_FILE", "MAIL_PORT", "STOP_TIMEOUT"]


def named_stop_timeout(findings: tuple[Finding, ...]) -> str:
    [found] = [finding.found for finding in findings if "STOP_TIMEOUT=30" in finding.found]
    return found


def test_settings_in_order_are_right(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("COMPANY_NAME=Acme\nPORT=8001\n", encoding="utf-8")
    configuration = read_configuration({}, tmp_path / ".env")
    assert statuses(configuration.findings) == {".env": "ok", "settings": "ok"}
    assert configuration.findings[0].found.endswith(".env sets 2 variables")
    assert configuration.settings.port == 8001
    assert read_configuration({}, tmp_path / "none").findings[0].status == "ok"


def test_a_service_in_order_is_right() -> None:
    findings = examine(API_KEYS="shop1:0123456789abcdef", WEB_CONCURRENCY="2", SENDER="process")
    assert set(statuses(findings).values()) == {"ok"}
    assert named(findings, "processes").found == "2 for orders, 1 that sends"
    assert "15 s < drain 20 s < graceful 25 s < STOP_TIMEOUT 30 s" in named(findings, "timeouts").found


@pytest.mark.parametrize(
    ("arguments", "name", "status"),
    [
        ("--graceful-timeout 60", "timeouts", "error"),
        ("--graceful-timeout=15", "timeouts", "error"),
        ("--keep-alive 5", "keep-alive", "warning"),
        ("--no-such-option", "GUNICORN_CMD_ARGS", "error"),
        ("--threads 'x", "GUNICORN_CMD_ARGS", "error"),
        ("--threads 16", "timeouts", "ok"),
    ],
)
def test_arguments_of_gunicorn_that_break_the_time_limits_are_named(arguments: str, name: str, status: str) -> None:
    finding = named(examine({"GUNICORN_CMD_ARGS": arguments}), name)
    assert (finding.status, bool(finding.advice)) == (status, status != "ok")


def test_an_open_service_without_keys_is_a_warning() -> None:
    assert statuses(examine())["API keys"] == "ok"
    assert statuses(examine(HOST="0.0.0.0"))["API keys"] == "warning"
    assert statuses(examine(HOST="0.0.0.0", SENDER="only"))["API keys"] == "ok"


def test_few_open_files_are_a_warning() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, before[1]))
    try:
        finding = named(examine(), "open files")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert (finding.status, "1000" in finding.found) == ("warning", True)


def test_more_than_mailtrap_allows_is_a_warning() -> None:
    findings = examine(**MAILTRAP, MAIL_MAX_CONNECTIONS="20", MAIL_MAX_PER_CONNECTION="500")
    limits = [finding for finding in findings if finding.name == "relay limits"]
    assert [finding.advice for finding in limits] == ["set MAIL_MAX_CONNECTIONS=10", "set MAIL_MAX_PER_CONNECTION=100"]
    other = {"MAIL_SERVER": "smtp.example", "EMAIL_SENDER": "a@acme.example", "MAIL_MAX_CONNECTIONS": "20"}
    assert "relay limits" not in statuses(examine(**other))


def test_mailtrap_without_a_webhook_is_a_warning() -> None:
    assert statuses(examine(**MAILTRAP))["webhook"] == "warning"
    assert "webhook" not in statuses(examine(**MAILTRAP, MAILTRAP_WEBHOOK_SECRET="0123456789abcdef"))
    sandbox = {"MAILTRAP_SANDBOX_USER": "u", "MAILTRAP_SANDBOX_PASSWORD": "p", "EMAIL_SENDER": "a@acme.example"}
    assert "webhook" not in statuses(examine(**sandbox))
