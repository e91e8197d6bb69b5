"""The readers of the API's document, in a real browser and under their own Content-Security-Policy."""

from __future__ import annotations

from pathlib import Path

import pytest
from chromium import HOW_TO_INSTALL, find_chromium, launch
from playwright.sync_api import ConsoleMessage, sync_playwright
from processes import free_port, service


@pytest.mark.parametrize("page", ["docs", "redoc"])
def test_a_reader_shows_the_operations_and_loads_nothing_from_elsewhere(tmp_path: Path, page: str) -> None:
    if not find_chromium():
        pytest.skip(HOW_TO_INSTALL)
    port = free_port()
    errors: list[str] = []
    with service(tmp_path, port, free_port()), sync_playwright() as playwright, launch(playwright) as browser:
        shown = browser.new_page()
        shown.on("pageerror", lambda error: errors.append(str(error)))
        shown.on("response", lambda answer: errors.append(answer.url) if is_foreign(answer.url, port) else None)
        shown.on("console", lambda line: errors.append(line.text) if is_error(line) else None)
        shown.goto(f"http://127.0.0.1:{port}/{page}")
        if page == "redoc":  # which shows a page for each group
            shown.get_by_text("orders", exact=True).first.click()
        shown.get_by_text("/api/order-confirmation/preview").first.wait_for(timeout=30_000)
    assert errors == []


def is_error(line: ConsoleMessage) -> bool:
    """Whether a console line is an error, other than that the policy keeps ReDoc from loading its maker's logo."""
    return line.type == "error" and "https://cdn.redoc.ly/redoc/" not in line.text


def is_foreign(url: str, port: int) -> bool:
    return not url.startswith((f"http://127.0.0.1:{port}/", "data:", "blob:"))
