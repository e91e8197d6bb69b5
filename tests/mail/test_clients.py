"""The mail's HTML holds nothing that mail programs cannot read."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import html5lib
import pytest
from npm import package_file

from orderconfirm.mail import templates
from orderconfirm.mail.renderer import MailRenderer
from orderconfirm.order.samples import SAMPLES
from orderconfirm.settings import ROOT, Settings

#: What some programs leave out, and why the mail is still whole there.
ALLOWED = {
    "@media": "the mail is laid out for all widths without it; without it there is no dark mode",
    "Attribute selector": "only for Outlook.com's dark mode and against Apple's own links",
    "border-radius": "corners are square",
    "overflow": "the preheader is hidden by display: none or mso-hide",
    "<body> element": "a wrapper inside has the same background and colour",
    "aria-label attribute": "the heading says the same",
    "height property": "only on the logo, which has the attribute too",
    "word-break": "only a word longer than the line is affected",
}
#: Unsupported somewhere, and not in caniemail's data.
UNKNOWN_TO_CANIEMAIL = re.compile(
    r"""calc\(|var\(|\bgap:|-inline-|text-align:\s*(?:start|end)\b|oklch|\d(?:rem|vw|vh)\b
    |<(?:svg|input|form|link|video|picture)\b|\.webp|src="data:""",
    re.VERBOSE | re.IGNORECASE,
)


SETTINGS = Settings(
    company_name="Acme",
    company_address="1 High St\nLondon",
    website_url="https://shop.example",
    logo_url="https://shop.example/logo.png",
)


def render(name: str) -> str:
    return MailRenderer(SETTINGS, [ROOT / "templates"]).render(SAMPLES[name]).html


@pytest.fixture(params=SAMPLES)
def html(request: pytest.FixtureRequest) -> str:
    return render(request.param)


def unsupported_features(html: str) -> dict[str, list[str]]:
    """The features that a mail uses and caniemail.com knows as unsupported, with the programs."""
    package_file("caniemail/package.json")
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node: install Node.js 20.19 or later and run npm ci --prefix tests")
    script = Path(__file__).parent / "caniemail.mjs"
    done = subprocess.run([node, script], input=html, capture_output=True, encoding="utf-8", timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_a_strict_parser_finds_no_error(html: str) -> None:
    html5lib.HTMLParser(strict=True).parse(html)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_strict_parser_finds_no_error_in_the_template(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Without the inliner, which parses and so repairs what it is given."""
    renderer = MailRenderer(SETTINGS, [ROOT / "templates"])
    monkeypatch.setattr(templates, "_inline", str)
    renderer._templates._inlined_template = None
    html5lib.HTMLParser(strict=True).parse(renderer.render(SAMPLES[name]).html)


def test_every_feature_is_supported_or_can_be_missed(html: str) -> None:
    found = unsupported_features(html)
    assert {feature: programs for feature, programs in found.items() if feature not in ALLOWED} == {}


def test_nothing_is_used_that_caniemail_does_not_know(html: str) -> None:
    assert UNKNOWN_TO_CANIEMAIL.findall(html) == []


def test_the_check_finds_what_is_not_supported() -> None:
    found = unsupported_features('<div style="display: flex; position: fixed">words</div>')
    assert "outlook.windows" in found["display:flex"] and "gmail.android" in found["position"]


def test_the_mail_uses_every_feature_that_is_allowed() -> None:
    """An exception does not outlive its reason."""
    assert unsupported_features(render("full")).keys() == ALLOWED.keys()
