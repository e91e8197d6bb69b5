"""The mail in a real browser: narrow and wide, light, dark, and inverted by the mail program."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

import pytest
from chromium import Scheme, launch, shown
from npm import package_file
from playwright.sync_api import Browser, Page, Playwright
from renderers import shared_renderer

from orderconfirm.order.samples import SAMPLES
from orderconfirm.settings import ROOT, Settings

AXE = "axe-core/axe.min.js"
MIN_TEXT_SIZE = 13
#: Minimum contrast of text (WCAG 2, 1.4.3).
MIN_CONTRAST = 4.5
Screen = tuple[Scheme, int]
SCREENS: list[Screen] = [("light", 320), ("light", 600), ("dark", 320), ("dark", 600)]


@dataclass(frozen=True)
class Measurement:
    """Measurements of one mail on one screen. `texts` are the visible texts with their font sizes in pixels."""

    accessibility_violations: list[str]
    overflow: int
    texts: list[tuple[str, float]]
    unwanted: list[str]


def render(name: str, **changes: str) -> str:
    settings = {
        "company_name": "Acme",
        "company_address": "1 High St\nLondon",
        "website_url": "https://shop.example",
        "logo_url": "https://shop.example/logo.png",
        **changes,
    }
    return shared_renderer(Settings(**settings)).render(SAMPLES[name]).html


def load_scripts(page: Page) -> None:
    for script in (package_file(AXE), ROOT / "tests" / "measure.js"):
        page.add_script_tag(content=script.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def inverting_browser(playwright: Playwright) -> Iterator[Browser]:
    """A browser that darkens pages automatically, as the mail programs of many phones do."""
    with launch(playwright, "--enable-features=WebContentsForceDark") as browser:
        yield browser


@pytest.fixture(scope="module")
def measurements(browser: Browser) -> Callable[[str], dict[Screen, Measurement]]:
    """Return a function that measures a sample on every screen, once for each sample."""

    @cache
    def measure_sample(name: str) -> dict[Screen, Measurement]:
        with shown(browser, render(name), 320) as (page, unwanted):
            load_scripts(page)
            return {screen: measure(page, *screen, unwanted) for screen in SCREENS}

    return measure_sample


def measure(page: Page, scheme: Scheme, width: int, unwanted: list[str]) -> Measurement:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    return Measurement(
        accessibility_violations=page.evaluate("accessibilityViolations()"),
        overflow=page.evaluate("document.documentElement.scrollWidth - innerWidth"),
        texts=[(each["text"], each["size"]) for each in page.evaluate("visibleTexts()")],
        unwanted=unwanted,
    )


@pytest.fixture(params=product(SAMPLES, SCREENS), ids=lambda case: f"{case[0]}-{case[1][0]}-{case[1][1]}")
def measurement(
    request: pytest.FixtureRequest, measurements: Callable[[str], dict[Screen, Measurement]]
) -> Measurement:
    name, screen = request.param
    return measurements(name)[screen]


def test_axe_finds_no_violation(measurement: Measurement) -> None:
    assert measurement.accessibility_violations == []


def test_the_mail_fits_the_screen_width(measurement: Measurement) -> None:
    assert measurement.overflow <= 0


def test_every_text_is_large_enough(measurement: Measurement) -> None:
    """The preheader is excluded, because only the inbox shows it."""
    assert len(measurement.texts) > 10
    assert [(text, size) for text, size in measurement.texts if size < MIN_TEXT_SIZE] == []


def test_the_mail_loads_only_pictures_and_runs_no_script(measurement: Measurement) -> None:
    assert measurement.unwanted == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("color", ["#ffcc00", "#000000", "#ffffff"])
def test_any_brand_colour_leaves_every_text_readable(browser: Browser, color: str, scheme: Scheme) -> None:
    with shown(browser, render("full", brand_color=color), 600, scheme) as (page, _):
        load_scripts(page)
        assert page.evaluate("contrastViolations()") == []


def test_the_dark_colours_for_outlook_com_are_readable(browser: Browser) -> None:
    """Outlook.com supports no media query for dark mode. It adds data-ogsc to the page instead."""
    with shown(browser, render("full"), 600) as (page, _):
        load_scripts(page)
        page.evaluate("document.documentElement.setAttribute('data-ogsc', '')")
        assert page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor") == "rgb(30, 34, 39)"
        assert page.evaluate("contrastViolations()") == []


def test_amounts_are_left_to_right_in_a_right_to_left_mail(browser: Browser) -> None:
    with shown(browser, render("right to left"), 320) as (page, _):
        load_scripts(page)
        assert page.evaluate("directionsOf('h1')") == ["rtl"]
        assert page.evaluate("directionsOf('.amount')") == ["ltr"] * 7


def test_amounts_are_left_of_their_items_in_a_right_to_left_mail(browser: Browser) -> None:
    with shown(browser, render("right to left"), 320) as (page, _):
        load_scripts(page)
        gaps = page.evaluate("gapsBeforeNeighbours('.amount')")
    assert len(gaps) == 7 and min(gaps) >= 0


def test_a_minus_is_left_of_its_digits_in_a_right_to_left_mail(browser: Browser) -> None:
    with shown(browser, render("right to left"), 320) as (page, _):
        load_scripts(page)
        [(minus, digit)] = page.evaluate("minusAndDigit('.amount')")
    assert minus < digit


@pytest.mark.parametrize("name", SAMPLES)
def test_every_text_stays_readable_when_the_mail_is_inverted(inverting_browser: Browser, name: str) -> None:
    """Measured in a screenshot, because the browser inverts the colours after the styles that axe reads."""
    with shown(inverting_browser, render(name), 320) as (page, _):
        load_scripts(page)
        screenshot = base64.b64encode(page.screenshot(full_page=True)).decode()
        lines = page.evaluate("image => linesInScreenshot(image)", screenshot)
    assert len(lines) > 10 and lines[0]["background"] < 0.1
    assert [line for line in lines if line["contrast"] < MIN_CONTRAST] == []
