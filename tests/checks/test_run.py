"""All checks together: none can break or delay the others, and none shows a secret."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orderconfirm.checks.findings import Finding, ok
from orderconfirm.checks.run import SUBJECTS, Subject, run_checks
from orderconfirm.checks.templates import examine_templates
from orderconfirm.settings import Settings

Examine = Callable[[Settings], Iterator[Finding]]
NO_FILE = Path("/nonexistent/.env")
TEMPLATE = "order_confirmation.txt"


def run(*examinations: Examine, environ: dict[str, str] | None = None, time_limit: float = 20) -> list[list[Finding]]:
    """What each of `examinations` finds."""
    subjects = tuple(Subject(f"Subject {number}", each, ()) for number, each in enumerate(examinations))
    _, *sections = run_checks(environ or {}, NO_FILE, subjects, time_limit)
    return [list(section.findings) for section in sections]


def all_right(settings: Settings) -> Iterator[Finding]:
    yield ok("all", "right")


def test_a_check_that_crashes_is_an_error_and_hides_no_other() -> None:
    def crash(settings: Settings) -> Iterator[Finding]:
        yield ok("first", "right")
        raise ZeroDivisionError("by chance")

    crashed, right = run(crash, all_right)
    assert [(finding.name, finding.status.value) for finding in crashed] == [("first", "ok"), ("subject 0", "error")]
    assert crashed[1].found == "the check failed: ZeroDivisionError: by chance"
    assert right == [ok("all", "right")]


def test_a_check_that_hangs_is_an_error_and_delays_no_other() -> None:
    is_over = threading.Event()

    def hang(settings: Settings) -> Iterator[Finding]:
        yield ok("first", "right")
        is_over.wait(30)

    try:
        hung, right = run(hang, all_right, time_limit=0.2)
    finally:
        is_over.set()
    assert [(finding.name, finding.status.value) for finding in hung] == [("first", "ok"), ("subject 0", "error")]
    assert right == [ok("all", "right")]


def test_secrets_addresses_and_control_characters_are_not_shown() -> None:
    environ = {
        "MAIL_SERVER": "smtp.example",
        "MAIL_USERNAME": "u",
        "MAIL_PASSWORD": "the password",
        "EMAIL_SENDER": "orders@acme.example",
        "DATABASE_URL": "postgresql://orders:p%40ss@db/orders",
    }

    def tell(settings: Settings) -> Iterator[Finding]:
        yield ok("relay", f"535 wrong: {settings.mail_password}\r\n\x1b[31mfor jane.doe@example.com")
        yield ok("database", f"{settings.database_url} or p@ss or p%40ss")
        yield ok("long", "x y " * 1000)

    [[relay, database, long]] = run(tell, environ=environ)
    assert relay.found == "535 wrong: … [31mfor …@example.com"
    assert database.found == "… or … or …"
    assert len(long.found) <= 500


@pytest.mark.parametrize(
    ("variable", "subjects"),
    [
        ("MAIL_PORT", ["Relay", "Sender's domain"]),
        ("DATABASE_URL", ["Database"]),
        ("DEFAULT_CURRENCY", ["Templates"]),
        ("API_KEYS", ["Service"]),
        ("BRAND_COLOR", []),
    ],
)
def test_a_wrong_variable_keeps_only_those_from_being_checked_who_need_it(variable: str, subjects: list[str]) -> None:
    dry = tuple(Subject(subject.title, all_right, subject.needs) for subject in SUBJECTS)
    _, *sections = run_checks({variable: "!"}, NO_FILE, dry)
    skipped = [section.title for section in sections if section.findings[0].status == "skipped"]
    assert skipped == subjects
    assert all(variable in section.findings[0].found for section in sections if section.title in subjects)


@pytest.mark.parametrize(
    ("template", "words"),
    [("{{ order.nothing }}", "line 1"), ("{% if %}", "line 1"), ("{% if order.lines %}{{ x }}{% endif %}", "`x`")],
    ids=["undefined", "syntax", "undefined in a branch"],
)
def test_a_broken_template_is_named_with_its_file_and_line(tmp_path: Path, template: str, words: str) -> None:
    (tmp_path / TEMPLATE).write_text(template, encoding="utf-8")
    [finding] = examine_templates(Settings.from_env({"TEMPLATES_DIR": str(tmp_path)}))
    assert (finding.status, TEMPLATE in finding.found, words in finding.found) == ("error", True, True)
    assert str(tmp_path) in finding.advice


def test_a_template_that_fails_in_one_language_is_named_with_it(tmp_path: Path) -> None:
    (tmp_path / TEMPLATE).write_text("{{ 1 / (lang != 'de') }}", encoding="utf-8")
    [finding] = examine_templates(Settings.from_env({"TEMPLATES_DIR": str(tmp_path)}))
    assert finding.found.startswith("in the language de: ")


def test_a_language_that_is_not_installed_is_named() -> None:
    [finding] = examine_templates(Settings.from_env({"DEFAULT_LOCALE": "xx"}))
    assert (finding.status, "DEFAULT_LOCALE xx" in finding.found) == ("error", True)
