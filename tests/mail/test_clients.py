"""The mail's HTML uses only features that mail programs support or can do without."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import html5lib
import pytest
from npm import package_file
from renderers import shared_renderer

from orderconfirm.mail import templates
from orderconfirm.order.samples import SAMPLES
from orderconfirm.settings import Settings

#: Features that some programs do not support, and why the mail does not depend on them.
ALLOWED = {
    "@media": "the layout fits all widths without it; only dark mode is lost",
    "Attribute selector": "only for Outlook.com's dark mode and Apple's automatic links",
    "border-radius": "corners are square without it",
    "overflow": "the preheader is also hidden by display: none or mso-hide",
    "<body> element": "a wrapper has the same background and colour",
    "aria-label attribute": "the heading has the same text",
    "height property": "only on pictures, which also have the attribute, and on their placeholders",
    "background-image": "the plate of the logo, which is visible only where colours are inverted",
    "filter": "the glow of the logo, for the same case",
    "white-space": "a short SKU may break at its hyphen without it",
    "word-break": "affects only words longer than the line",
}
#: Features with incomplete support that caniemail's data does not cover.
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
    return shared_renderer(SETTINGS).render(SAMPLES[name]).html


@pytest.fixture(params=SAMPLES)
def html(request: pytest.FixtureRequest) -> str:
    return render(request.param)


def unsupported_features(html: str) -> dict[str, list[str]]:
    """Return the features of a mail that some programs do not support by caniemail.com's data, with these programs."""
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
    """The inliner is turned off, because it parses the HTML and thereby repairs it."""
    renderer = shared_renderer(SETTINGS)
    monkeypatch.setattr(templates, "_inline", str)
    renderer._templates._inlined_template = None
    html5lib.HTMLParser(strict=True).parse(renderer.render(SAMPLES[name]).html)


def test_every_feature_is_supported_or_optional(html: str) -> None:
    found = unsupported_features(html)
    assert {feature: programs for feature, programs in found.items() if feature not in ALLOWED} == {}


def test_no_feature_outside_caniemails_data_is_used(html: str) -> None:
    assert UNKNOWN_TO_CANIEMAIL.findall(html) == []


def test_the_check_finds_unsupported_features() -> None:
    found = unsupported_features('<div style="display: flex; position: fixed">words</div>')
    assert "outlook.windows" in found["display:flex"] and "gmail.android" in found["position"]


def test_every_allowed_feature_is_used() -> None:
    """An exception is removed together with its reason."""
    assert unsupported_features(render("full")).keys() == ALLOWED.keys()
