"""The mail in a real browser: narrow and wide, light, dark, and inverted by the mail program."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import pytest
from chromium import Scheme, launch, shown
from npm import package_file
from playwright.sync_api import Browser, Page, Playwright
from renderers import shared_renderer

from orderconfirm.order.samples import SAMPLES
from orderconfirm.settings import ROOT, ByLanguage, Settings

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


def render(name: str, **changes: Any) -> str:
    settings: dict[str, Any] = {
        "company_name": "Acme",
        "company_address": "1 High St\nLondon",
        "website_url": "https://shop.example",
        "logo_url": "https://shop.example/logo.png",
        "returns_url": "https://shop.example/returns",
        "help_url": "https://shop.example/help",
        "legal_notice": "Acme Ltd\\nVAT 123",
        "legal_text": ByLanguage("You may withdraw from this contract within fourteen days.\\n\\nTerms apply."),
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


@pytest.mark.parametrize("name", ["full", "right to left"])
def test_all_amounts_end_at_the_same_edge(browser: Browser, name: str) -> None:
    with shown(browser, render(name), 320) as (page, _):
        load_scripts(page)
        margins = page.evaluate("marginsOnTheRight('.amount, .amounts')")
    assert len(margins) > 6 and len(set(margins)) == 1


def test_a_phone_shows_arrival_and_button_without_scrolling(browser: Browser) -> None:
    with shown(browser, render("full"), 320) as (page, _):
        load_scripts(page)
        [arrival], [button] = page.evaluate("['.arrival', '.button'].map(boxesOf)")
    assert 0 < arrival["bottom"] < button["bottom"] < 568


@pytest.mark.parametrize(("width", "columns"), [(320, 1), (390, 2), (600, 2)])
def test_addresses_stand_side_by_side_where_there_is_room(browser: Browser, width: int, columns: int) -> None:
    with shown(browser, render("full"), width) as (page, _):
        load_scripts(page)
        boxes = page.evaluate("boxesOf('.detail')")
    assert len({box["left"] for box in boxes}) == columns


@pytest.mark.parametrize(("width", "rows"), [(320, 2), (390, 2), (600, 1)])
def test_the_invoice_stands_beside_the_order_where_there_is_room(browser: Browser, width: int, rows: int) -> None:
    with shown(browser, render("full"), width) as (page, _):
        load_scripts(page)
        [order], [invoice, withdrawal] = page.evaluate("['.button', '.second'].map(boxesOf)")
    assert len({order["top"], invoice["top"]}) == rows
    assert order["bottom"] <= invoice["top"] or order["right"] < invoice["left"]
    assert withdrawal["top"] > invoice["bottom"]


@pytest.mark.parametrize(("width", "size"), [(320, 56), (600, 72)])
def test_missing_and_blocked_pictures_keep_their_place(browser: Browser, width: int, size: int) -> None:
    html = render("full")
    with shown(browser, "", width) as (page, _):
        page.route("**/*.jpg", lambda route: route.abort())
        page.set_content(html, wait_until="load")
        load_scripts(page)
        boxes = page.evaluate("boxesOf('.picture')")
        colors = page.evaluate(
            "[...document.querySelectorAll('.picture')].map(e => getComputedStyle(e).backgroundColor)"
        )
    assert [(box["width"], box["height"]) for box in boxes] == [(size, size)] * 3
    assert set(colors) == {"rgb(237, 242, 250)"}


def test_the_shops_name_and_the_text_begin_at_the_same_edge(browser: Browser) -> None:
    with shown(browser, render("right to left", logo_url=""), 320) as (page, _):
        load_scripts(page)
        margins = page.evaluate("marginsOnTheRight('.inset, h1, .foot b')")
    assert len(margins) == 3 and len(set(margins)) == 1


def test_a_large_total_leaves_the_names_of_items_their_room(browser: Browser) -> None:
    """At 320 pixels, beside a picture: a table column is as wide as its widest amount."""
    with shown(browser, render("full"), 320) as (page, _):
        load_scripts(page)
        boxes, headings = page.evaluate("['th.line', 'th.column'].map(boxesOf)")
    assert len(boxes) == 3 and min(box["width"] for box in boxes) > 140
    assert [box["height"] for box in headings] == [28 + 22 + 8] * 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_logo_for_dark_mode_replaces_the_other(browser: Browser, scheme: Scheme) -> None:
    html = render("full", logo_dark_url="https://shop.example/night.png")
    with shown(browser, html, 320, scheme) as (page, _):
        sources = page.evaluate("[...document.images].filter(e => e.alt && e.checkVisibility()).map(e => e.src)")
    assert sources == [f"https://shop.example/{'night' if scheme == 'dark' else 'logo'}.png"]


def dark_stripes() -> bytes:
    """A PNG of dark stripes on a transparent ground."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + (b"\x1b\x20\x28\xff" * 10 + b"\0\0\0\0" * 10) * 8
    header = struct.pack(">IIBBBBB", 160, 40, 8, 6, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(row * 40)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def test_a_dark_logo_stays_visible_when_the_mail_is_inverted(inverting_browser: Browser) -> None:
    html = render("two lines")
    with shown(inverting_browser, "", 320) as (page, _):
        page.route("**/logo.png", lambda route: route.fulfill(content_type="image/png", body=dark_stripes()))
        page.set_content(html, wait_until="load")
        load_scripts(page)
        screenshot = base64.b64encode(page.screenshot(full_page=True)).decode()
        assert page.evaluate("image => contrastInScreenshot(image, '.logo')", screenshot) > 3


@pytest.mark.parametrize("color", ["#ffcc00", "#ff9900", "#00b050", "#7fdbff", "#ffffff"])
def test_the_button_stays_readable_when_a_mail_in_any_colour_is_inverted(
    inverting_browser: Browser, color: str
) -> None:
    with shown(inverting_browser, render("full", brand_color=color), 320) as (page, _):
        load_scripts(page)
        screenshot = base64.b64encode(page.screenshot(full_page=True)).decode()
        assert page.evaluate("image => contrastInScreenshot(image, '.button a')", screenshot) >= MIN_CONTRAST


@pytest.mark.parametrize("name", SAMPLES)
def test_every_text_stays_readable_when_the_mail_is_inverted(inverting_browser: Browser, name: str) -> None:
    """Measured in a screenshot, because the browser inverts the colours after the styles that axe reads."""
    with shown(inverting_browser, render(name), 320) as (page, _):
        load_scripts(page)
        screenshot = base64.b64encode(page.screenshot(full_page=True)).decode()
        lines = page.evaluate("image => linesInScreenshot(image)", screenshot)
    assert len(lines) > 10 and lines[0]["background"] < 0.1
    assert [line for line in lines if line["contrast"] < MIN_CONTRAST] == []
