"""Swagger UI and ReDoc in a real browser, under their Content-Security-Policy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import ConsoleMessage, Page
from processes import free_port, service


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    with service(tmp_path_factory.mktemp("service"), port, free_port()):
        yield port


@pytest.mark.parametrize("name", ["docs", "redoc"])
def test_the_documentation_shows_the_operations_and_loads_nothing_from_other_sites(
    page: Page, port: int, name: str
) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("response", lambda response: errors.append(response.url) if is_foreign(response.url, port) else None)
    page.on("console", lambda message: errors.append(message.text) if is_error(message) else None)
    page.goto(f"http://127.0.0.1:{port}/{name}")
    if name == "redoc":  # it shows one page per group
        page.get_by_text("orders", exact=True).first.click()
    page.get_by_text("/api/order-confirmation/preview").first.wait_for(timeout=30_000)
    assert errors == []


def is_error(message: ConsoleMessage) -> bool:
    """Whether a console message is an error, other than the blocked logo of ReDoc."""
    return message.type == "error" and "https://cdn.redoc.ly/redoc/" not in message.text


def is_foreign(url: str, port: int) -> bool:
    return not url.startswith((f"http://127.0.0.1:{port}/", "data:", "blob:"))
