"""What a spam filter says of the finished message."""

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

#: A filter with the usual settings takes five points for spam.
MOST_POINTS = 0.5


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
    """SpamAssassin's analysis of a message, by the rules it came with and without the network."""
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
    found = re.match(r"\s*\((-?[\d.]+) points", report)
    assert found, report
    return float(found[1])


@pytest.fixture(scope="module")
def reports(report_of: Callable[[bytes], str]) -> dict[str, str]:
    """The analysis of every sample's message; side by side, for each takes a second or more."""
    renderer = MailRenderer(
        Settings(company_name="Acme, Inc.", company_address="1 High St\nLondon"), [ROOT / "templates"]
    )
    messages = [as_message(renderer.render(order)) for order in SAMPLES.values()]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return dict(zip(SAMPLES, threads.map(report_of, messages), strict=True))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_spam_filter_has_nothing_against_the_message(reports: dict[str, str], name: str) -> None:
    assert points(reports[name]) <= MOST_POINTS, reports[name]


def test_the_spam_filter_does_count(report_of: Callable[[bytes], str]) -> None:
    assert points(report_of(b"Subject: BUY VIAGRA NOW\r\n\r\nClick http://127.0.0.1/ for FREE MONEY!!!\r\n")) > 2
