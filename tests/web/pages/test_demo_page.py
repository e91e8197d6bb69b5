"""The demo page in a real browser, served by a real process."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import HOW_TO_INSTALL, find_chromium, launch
from playwright.sync_api import Browser, Page, sync_playwright
from processes import free_port, post, query, service, wait_until

KEYS = "first:first-shop-s-long-key,other:other-shop-s-long-key"
#: Without a relay the mail stays in the local inbox.
NO_RELAY = {"MAIL_SERVER": ""}
ATTACK = """async ([url, headers, body]) => {
    const mode = headers["X-CSRFToken"] ? "cors" : "no-cors";
    await fetch(url, { method: "POST", mode, headers, body, credentials: "include" }).catch(() => {});
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not find_chromium():
        pytest.skip(HOW_TO_INSTALL)
    with sync_playwright() as playwright, launch(playwright) as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context() as context:
        yield context.new_page()


@pytest.fixture
def errors(page: Page) -> list[str]:
    """Errors on the page's console, including violations of its Content-Security-Policy."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    return errors


def open_page(page: Page, port: int) -> None:
    page.goto(f"http://localhost:{port}/")


def send(page: Page) -> None:
    page.get_by_role("button", name="Send the order").click()


def orders(folder: Path) -> list[tuple[object, ...]]:
    return query(folder, "SELECT shop, state FROM outbox")


@pytest.mark.parametrize(("keys", "shop"), [("", "default"), (KEYS, "first")], ids=["open", "with keys"])
def test_an_order_of_the_form_is_sent_and_its_mail_is_in_the_inbox(
    page: Page, errors: list[str], tmp_path: Path, keys: str, shop: str
) -> None:
    port = free_port()
    with service(tmp_path, port, free_port(), API_KEYS=keys, DEMO_PAGE="true", **NO_RELAY):
        open_page(page, port)
        send(page)
        page.locator("#progress .badge.good", has_text="sent").wait_for()
        assert page.locator("#outcome").inner_text() == "Order confirmation queued"
        assert ("X-API-Key: …" in page.locator("#request-curl").inner_text()) == bool(keys)
        page.get_by_role("link", name="Read the mail").click()
        page.locator("#mails a").click()
        page.frame_locator("#preview").get_by_text("Wireless Headphones").wait_for()
        assert orders(tmp_path) == [(shop, "sent")]
    assert errors == []


def test_a_page_that_is_older_than_the_service_asks_for_a_reload(page: Page, tmp_path: Path) -> None:
    port = free_port()
    with service(tmp_path, port, free_port(), DEMO_PAGE="true"):
        open_page(page, port)
        send(page)
        page.locator("#progress .badge", has_text="queued").wait_for()
    with service(tmp_path, port, free_port(), **NO_RELAY):
        page.locator("#progress", has_text="Reload the page.").wait_for()
        send(page)
        page.locator("#outcome", has_text="Reload the page.").wait_for()
        page.reload()
        send(page)
        page.locator("#progress .badge.good").wait_for()


def test_a_new_worker_accepts_the_token_of_the_previous_one(page: Page, tmp_path: Path) -> None:
    port = free_port()
    with service(tmp_path, port, free_port(), **NO_RELAY) as process:
        open_page(page, port)
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "Worker exiting" in (tmp_path / "service.log").read_text(encoding="utf-8"))
        send(page)
        page.locator("#progress .badge.good").wait_for()


def test_a_page_of_another_site_can_change_nothing(browser: Browser, tmp_path: Path) -> None:
    """To a browser, 127.0.0.1 is another site than localhost. `bypass_csp` lets its page send anything."""
    port = free_port()
    ours, api = f"http://localhost:{port}", f"http://localhost:{port}/api/order-confirmation"
    responses: list[tuple[str, int]] = []
    with service(tmp_path, port, free_port(), **NO_RELAY), browser.new_context(bypass_csp=True) as context:
        assert post(port, "1") == 202
        page = context.new_page()
        open_page(page, port)  # the browser has the demo page's cookie from here on
        page.goto(f"http://127.0.0.1:{port}/health")
        page.on("response", lambda response: responses.append((response.url.removeprefix(ours), response.status)))
        for url, body in ((f"{ours}/demo/orders", "{}"), (api, "{}"), (f"{api}/1/cancel", None)):
            page.evaluate(ATTACK, [url, {}, body])
            page.evaluate(ATTACK, [url, {"Content-Type": "application/json", "X-CSRFToken": "x"}, body])
        page.set_content(f'<form action="{ours}/demo/orders" method="post" enctype="text/plain"><button>Win</button>')
        with page.expect_navigation():
            page.get_by_role("button").click()
        assert "Reload the page" in page.content()
        [(_, state)] = orders(tmp_path)
    # Requests that need a preflight are not sent at all.
    assert responses == [
        ("/demo/orders", 403),
        ("/api/order-confirmation", 403),
        ("/api/order-confirmation/1/cancel", 403),
        ("/demo/orders", 403),
    ]
    assert state in ("queued", "sending", "sent")
