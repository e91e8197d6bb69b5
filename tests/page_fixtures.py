"""Fixtures for pages in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import HOW_TO_INSTALL, find_chromium, launch
from npm import package_file
from playwright.sync_api import Browser, Page, Playwright, sync_playwright
from processes import NO_RELAY, free_port, service

#: Widths and colour schemes in which a page is looked at.
SCREENS = ((360, "light"), (360, "dark"), (1280, "light"), (1280, "dark"))


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    if not find_chromium():
        pytest.skip(HOW_TO_INSTALL)
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with launch(playwright) as browser:
        yield browser


@pytest.fixture(scope="module")
def local_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the service at `local_port`."""
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def local_port(local_folder: Path) -> Iterator[int]:
    """The port of a service without a relay, whose mails are in its local inbox."""
    port = free_port()
    with service(local_folder, port, free_port(), **NO_RELAY):
        yield port


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context() as context:
        yield context.new_page()


@pytest.fixture
def errors(page: Page) -> list[str]:
    """Errors on the page's console, including violations of its Content-Security-Policy.

    A refused request is none: the browser reports each status above 399.
    """
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    return errors


@pytest.fixture
def flaws(page: Page) -> Callable[..., dict[str, Any]]:
    """A function that returns what axe-core and a ruler find on the open page, on all or on the given screens."""
    axe = package_file("axe-core/axe.min.js").read_text(encoding="utf-8")

    def look(*screens: tuple[int, Any]) -> dict[str, Any]:
        page.evaluate(axe)
        found = {}
        for width, scheme in screens or SCREENS:
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme)
            # Without the mail in the frame, which has tests of its own.
            violations = page.evaluate(
                "async () => (await axe.run({exclude: ['iframe']}, {iframes: false})).violations"
                ".flatMap(({id, nodes}) => nodes.map(({html}) => `${id}: ${html}`))"
            )
            overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            found[width, scheme] = [*violations, *([f"{overflow} px too wide"] if overflow > 0 else [])]
        return {screen: faults for screen, faults in found.items() if faults}

    return look
