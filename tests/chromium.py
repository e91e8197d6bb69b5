"""Mails in a real Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal

from playwright.sync_api import Browser, Dialog, Page, Playwright, Route, expect

# A busy machine may take long to show something.
expect.set_options(timeout=30_000)

Scheme = Literal["light", "dark"]

HOW_TO_INSTALL = (
    "no Chromium, or Playwright does not start: install them (Debian: apt-get install chromium libatomic1), "
    "or set CHROMIUM to its path"
)
NAMES = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
GREY = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="120" height="40"><rect width="120" height="40" fill="#999"/></svg>'
)


@cache
def find_chromium() -> str | None:
    """The path in $CHROMIUM, or else the first Chromium on PATH; None where Playwright does not start."""
    playwright = [sys.executable, "-m", "playwright", "--version"]
    if subprocess.run(playwright, capture_output=True, timeout=60).returncode:
        return None
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def launch(playwright: Playwright, *switches: str) -> Browser:
    """A browser process with these command-line switches; raises FileNotFoundError when there is no Chromium."""
    executable = find_chromium()
    if executable is None:
        raise FileNotFoundError(HOW_TO_INSTALL)
    return playwright.chromium.launch(executable_path=executable, args=[*SWITCHES, *switches])


@contextmanager
def shown(
    browser: Browser, html: str, width: int, scheme: Scheme = "light", draw: Callable[[str], str] = lambda url: GREY
) -> Iterator[tuple[Page, list[str]]]:
    """The mail on a screen of this width, and what it wanted besides pictures: requests and dialogs, all refused.

    A picture is answered with the SVG that `draw` makes for its address.
    """
    unwanted: list[str] = []

    def answer(route: Route) -> None:
        request = route.request
        if request.resource_type == "image":
            route.fulfill(content_type="image/svg+xml", body=draw(request.url))
        else:
            unwanted.append(f"{request.resource_type} {request.url}")
            route.abort()

    def refuse(dialog: Dialog) -> None:
        unwanted.append(f"{dialog.type} {dialog.message}")
        dialog.dismiss()

    with browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme) as context:
        page = context.new_page()
        page.route("**/*", answer)
        page.on("dialog", refuse)
        page.set_content(html, wait_until="load")
        yield page, unwanted
