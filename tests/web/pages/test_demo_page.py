"""The compose page's token in a real browser: after restarts, with keys, and against other sites."""

from __future__ import annotations

import signal
from pathlib import Path

from playwright.sync_api import Browser, Page, expect
from processes import NO_RELAY, free_port, post, query, service, wait_until

KEYS = "first:first-shop-s-long-key,other:other-shop-s-long-key"
ATTACK = """async ([url, headers, body]) => {
    const mode = headers["X-CSRFToken"] ? "cors" : "no-cors";
    await fetch(url, { method: "POST", mode, headers, body, credentials: "include" }).catch(() => {});
}"""


def open_page(page: Page, port: int) -> None:
    page.goto(f"http://localhost:{port}/")


def send(page: Page) -> None:
    page.get_by_role("button", name="Send the order").click()


def orders(folder: Path) -> list[tuple[object, ...]]:
    return query(folder, "SELECT shop, state FROM outbox")


def test_with_keys_the_order_belongs_to_the_first_shop(page: Page, errors: list[str], tmp_path: Path) -> None:
    port = free_port()
    with service(tmp_path, port, free_port(), API_KEYS=KEYS, DEMO_PAGE="true", **NO_RELAY):
        open_page(page, port)
        send(page)
        expect(page.locator("#outcome-title")).to_contain_text("was sent")
        page.get_by_role("radio", name="Code").check()
        for language in ("curl", "Python", "PHP", "JavaScript"):
            page.get_by_role("radio", name=language, exact=True).check()
            expect(page.locator("#code")).to_contain_text("ORDERCONFIRM_API_KEY")
        assert "first-shop-s-long-key" not in page.content()
        assert orders(tmp_path) == [("first", "sent")]
    assert errors == []


def test_a_page_that_is_older_than_the_service_asks_for_a_reload(page: Page, tmp_path: Path) -> None:
    port = free_port()
    with service(tmp_path, port, free_port(), DEMO_PAGE="true"):
        open_page(page, port)
        send(page)
        page.locator("#outcome-title", has_text="is queued").wait_for()
    with service(tmp_path, port, free_port(), **NO_RELAY):
        page.locator("#progress", has_text="Reload the page.").wait_for()
        send(page)
        page.locator("#problem", has_text="Reload the page.").wait_for()
        page.reload()
        send(page)
        page.locator("#outcome-title", has_text="was sent").wait_for()


def test_a_new_worker_accepts_the_token_of_the_previous_one(page: Page, tmp_path: Path) -> None:
    port = free_port()
    with service(tmp_path, port, free_port(), **NO_RELAY) as process:
        open_page(page, port)
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "Worker exiting" in (tmp_path / "service.log").read_text(encoding="utf-8"))
        send(page)
        page.locator("#outcome-title", has_text="was sent").wait_for()


def test_a_page_of_another_site_can_change_nothing(browser: Browser, tmp_path: Path) -> None:
    """To a browser, 127.0.0.1 is another site than localhost. `bypass_csp` lets its page send anything."""
    port = free_port()
    ours, api = f"http://localhost:{port}", f"http://localhost:{port}/api/order-confirmation"
    responses: list[tuple[str, int]] = []
    with service(tmp_path, port, free_port(), **NO_RELAY), browser.new_context(bypass_csp=True) as context:
        assert post(port, "1") == 202
        page = context.new_page()
        open_page(page, port)  # the browser has the compose page's cookie from here on
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
