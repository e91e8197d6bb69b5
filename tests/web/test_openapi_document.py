"""Swagger UI and ReDoc in a real browser, under their Content-Security-Policy."""

from __future__ import annotations

from pathlib import Path

import pytest
from chromium import HOW_TO_INSTALL, find_chromium, launch
from playwright.sync_api import ConsoleMessage, sync_playwright
from processes import free_port, service


@pytest.mark.parametrize("page", ["docs", "redoc"])
def test_the_documentation_shows_the_operations_and_loads_nothing_from_other_sites(tmp_path: Path, page: str) -> None:
    if not find_chromium():
        pytest.skip(HOW_TO_INSTALL)
    port = free_port()
    errors: list[str] = []
    with service(tmp_path, port, free_port()), sync_playwright() as playwright, launch(playwright) as browser:
        tab = browser.new_page()
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("response", lambda response: errors.append(response.url) if is_foreign(response.url, port) else None)
        tab.on("console", lambda message: errors.append(message.text) if is_error(message) else None)
        tab.goto(f"http://127.0.0.1:{port}/{page}")
        if page == "redoc":  # it shows one page per group
            tab.get_by_text("orders", exact=True).first.click()
        tab.get_by_text("/api/order-confirmation/preview").first.wait_for(timeout=30_000)
    assert errors == []


def is_error(message: ConsoleMessage) -> bool:
    """Whether a console message is an error, other than the blocked logo of ReDoc."""
    return message.type == "error" and "https://cdn.redoc.ly/redoc/" not in message.text


def is_foreign(url: str, port: int) -> bool:
    return not url.startswith((f"http://127.0.0.1:{port}/", "data:", "blob:"))
