"""The finished message passes a spam filter."""

from __future__ import annotations

import mailbox
import os
import re
import shutil
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from orderconfirm.mail.renderer import MailRenderer
from orderconfirm.models import Email
from orderconfirm.order.samples import SAMPLES
from orderconfirm.settings import ROOT, Settings
from orderconfirm.smtp.message import OrderMessage

#: SpamAssassin's default threshold for spam is five points.
MAX_POINTS = 0.5
SPAM = b"Subject: BUY VIAGRA NOW\r\n\r\nClick http://127.0.0.1/ for FREE MONEY!!!\r\n"


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


def points(report: str) -> float:
    match = re.match(r"\s*\((-?[\d.]+) points", report)
    assert match, report
    return float(match[1])


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """SpamAssassin's analysis of every sample's message and of spam, with its built-in rules and no network.

    One process analyses them all, because it takes seconds to start.
    """
    spamassassin = shutil.which("spamassassin")
    if spamassassin is None:
        pytest.skip("no SpamAssassin: install it (Debian: apt-get install spamassassin)")
    home: Path = tmp_path_factory.mktemp("spamassassin")
    renderer = MailRenderer(
        Settings(company_name="Acme, Inc.", company_address="1 High St\nLondon"), [ROOT / "templates"]
    )
    messages = {**{name: as_message(renderer.render(order)) for name, order in SAMPLES.items()}, "spam": SPAM}
    with closing(mailbox.mbox(home / "messages")) as box:
        for name, message in messages.items():
            box.add(f"X-Sample: {name}\n".encode() + message.replace(b"\r\n", b"\n"))
    done = subprocess.run(
        [spamassassin, "--local", "--test-mode", "--mbox", home / "messages"],
        capture_output=True,
        env={**os.environ, "HOME": str(home)},
        timeout=240,
    )
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, str] = {}
    name = None
    for before, analysis in pairwise(done.stdout.decode("utf-8", "replace").split("Content analysis details:")):
        # An analysis follows its message. That of spam also precedes it, and does not count there.
        name = (re.findall(r"^X-Sample: (.*?)\r?$", before, re.MULTILINE) or [name])[-1]
        if name is not None:
            found.setdefault(name, analysis)
    return found


@pytest.mark.parametrize("name", SAMPLES)
def test_the_message_is_not_spam(reports: dict[str, str], name: str) -> None:
    assert points(reports[name]) <= MAX_POINTS, reports[name]


def test_the_filter_recognises_spam(reports: dict[str, str]) -> None:
    assert points(reports["spam"]) > 2
