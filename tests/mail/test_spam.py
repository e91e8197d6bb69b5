"""The finished message passes a spam filter."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orderconfirm.mail.renderer import MailRenderer
from orderconfirm.models import Email
from orderconfirm.order.samples import SAMPLES
from orderconfirm.settings import ROOT, Settings
from orderconfirm.smtp.message import OrderMessage

#: SpamAssassin's default threshold for spam is five points.
MAX_POINTS = 0.5


def as_message(email: Email) -> bytes:
    return OrderMessage(
        email,
        sender=("Acme, Inc.", "orders@acme.example"),
        recipient=("John Doe", "john.doe@example.com"),
        reply_to="help@acme.example",
        message_id="<0123456789abcdef@acme.example>",
        date=datetime.now(UTC),
        headers={"Auto-Submitted": "auto-generated"},
    ).as_bytes()


@pytest.fixture(scope="module")
def report_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], str]:
    """Return a function that gives SpamAssassin's analysis of a message, with its built-in rules and no network."""
    spamassassin = shutil.which("spamassassin")
    if spamassassin is None:
        pytest.skip("no SpamAssassin: install it (Debian: apt-get install spamassassin)")
    home: Path = tmp_path_factory.mktemp("spamassassin")

    def report_of(message: bytes) -> str:
        done = subprocess.run(
            [spamassassin, "--local", "--test-mode"],
            input=message,
            capture_output=True,
            env={**os.environ, "HOME": str(home)},
            timeout=120,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode("utf-8", "replace").partition("Content analysis details:")[2]

    return report_of


def points(report: str) -> float:
    match = re.match(r"\s*\((-?[\d.]+) points", report)
    assert match, report
    return float(match[1])


@pytest.fixture(scope="module")
def reports(report_of: Callable[[bytes], str]) -> dict[str, str]:
    """The analysis of every sample's message. They run in parallel because each takes a second or more."""
    renderer = MailRenderer(
        Settings(company_name="Acme, Inc.", company_address="1 High St\nLondon"), [ROOT / "templates"]
    )
    messages = [as_message(renderer.render(order)) for order in SAMPLES.values()]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return dict(zip(SAMPLES, threads.map(report_of, messages), strict=True))


@pytest.mark.parametrize("name", SAMPLES)
def test_the_message_is_not_spam(reports: dict[str, str], name: str) -> None:
    assert points(reports[name]) <= MAX_POINTS, reports[name]


def test_the_filter_recognises_spam(report_of: Callable[[bytes], str]) -> None:
    assert points(report_of(b"Subject: BUY VIAGRA NOW\r\n\r\nClick http://127.0.0.1/ for FREE MONEY!!!\r\n")) > 2
