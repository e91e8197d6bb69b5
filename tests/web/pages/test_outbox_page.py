"""The outbox's pages in a real browser: the on-call path, updates, accessibility and narrow screens."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Locator, Page, expect
from processes import free_port, service
from processes import post as place
from smtp_server import Sink, smtp_server

KEY = "first-shop-s-long-key"
SECRET = "0123456789abcdef0123456789abcdef"
REFUSED = "550 5.1.1 <john.doe@example.com>: User unknown <script>document.title='attacked'</script>"


@pytest.fixture(scope="module")
def relay() -> Iterator[tuple[Sink, int]]:
    with smtp_server() as running:
        yield running


@pytest.fixture(scope="module")
def port(relay: tuple[Sink, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a service with an API key and the compose page, which sends through `relay`."""
    port = free_port()
    variables = {"API_KEYS": f"first:{KEY}", "DEMO_PAGE": "true", "MAILTRAP_WEBHOOK_SECRET": SECRET}
    with service(tmp_path_factory.mktemp("service"), port, relay[1], **variables):
        yield port


@pytest.fixture(autouse=True)
def no_error_on_the_console(errors: list[str]) -> Iterator[None]:
    yield
    assert errors == []


def log_in(page: Page, port: int, path: str = "/outbox") -> None:
    page.goto(f"http://localhost:{port}{path}")
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"**{path}")


def fail(port: int, relay: Sink, order_id: str) -> None:
    """Place an order that the relay refuses."""
    relay.refused["john.doe@example.com"] = REFUSED
    assert place(port, order_id, KEY) == 202


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until `target` has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"the keyboard does not reach {target}")


def test_on_call_a_failed_mail_is_found_understood_and_sent_by_mouse(
    page: Page, port: int, relay: tuple[Sink, int]
) -> None:
    fail(port, relay[0], "4711")
    log_in(page, port)
    page.get_by_label("Order number or address").fill("4711")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("row", name="failed 4711").get_by_role("link").click()
    expect(page.locator("#state .why")).to_contain_text("rcpt: 550 5.1.1 <…@example.com>: User unknown")
    relay[0].refused.clear()
    page.get_by_role("button", name="Retry…").click()
    page.get_by_role("dialog").get_by_role("button", name="Retry now").click()
    expect(page.locator(".flash.good")).to_contain_text("due now")
    expect(page.locator("#state .state.good")).to_have_text("sent")
    expect(page.locator("#news")).to_have_text("The mail is sent.")
    expect(page.locator("#timeline .step").last).to_contain_text("Sent: the relay took the mail")
    assert page.title().startswith("Order 4711")


def test_on_call_a_failed_mail_is_found_understood_and_sent_by_keyboard(
    page: Page, port: int, relay: tuple[Sink, int]
) -> None:
    fail(port, relay[0], "4712")
    page.goto(f"http://localhost:{port}/outbox")
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Order number or address"))
    page.keyboard.type("4712")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=4712**")
    tab_to(page, page.get_by_role("link", name="4712", exact=True))
    page.keyboard.press("Enter")
    expect(page.locator("#state .why")).to_contain_text("User unknown")
    relay[0].refused.clear()
    retry = page.get_by_role("button", name="Retry…")
    tab_to(page, retry)
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(retry).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")  # the dialog's button has the focus
    expect(page.locator("#state .state.good")).to_have_text("sent")


def test_the_list_follows_what_happens_and_keeps_the_focus(page: Page, port: int, relay: tuple[Sink, int]) -> None:
    fail(port, relay[0], "4713")
    log_in(page, port)
    link = page.get_by_role("link", name="4713", exact=True)
    link.focus()
    assert place(port, "4714", KEY) == 202
    expect(page.get_by_role("link", name="4714", exact=True)).to_be_visible()
    expect(link).to_be_focused()
    relay[0].refused.clear()
    page.get_by_role("button", name="Retry all failed").click()
    page.get_by_role("dialog").get_by_role("button", name="Retry all").click()
    expect(page.locator("#notice")).to_contain_text("due now")
    expect(page.get_by_role("row", name="sent 4713")).to_be_visible()
    expect(page.locator("#news")).to_have_text("The relay is in use. No mail needs attention.")


def report_delivery(port: int, order_id: str) -> None:
    """Report a mail as delivered, as Mailtrap does."""
    ids = {"order_id": order_id, "shop": "first"}
    event = {"event": "delivery", "event_id": order_id, "timestamp": int(time.time()), "custom_variables": ids}
    body = json.dumps({"events": [{**event, "email": "john.doe@example.com", "message_id": order_id}]}).encode()
    signature = hmac.new(SECRET.encode(), body, sha256).hexdigest()
    headers = {"Content-Type": "application/json", "Mailtrap-Signature": signature}
    with urlopen(Request(f"http://localhost:{port}/api/webhooks/mailtrap", body, headers), timeout=10) as response:
        assert json.load(response)["new"] == 1


def test_the_compose_page_follows_a_mail_until_it_is_delivered(page: Page, port: int, relay: tuple[Sink, int]) -> None:
    relay[0].refused.clear()
    page.goto(f"http://localhost:{port}/")
    order_id = page.locator('[name="/order_id"]').input_value()
    page.get_by_role("button", name="Send the order").click()
    title, steps = page.locator("#outcome-title"), page.locator(".steps li")
    expect(title).to_have_text(f"The mail of {order_id} was sent")
    assert steps.all_inner_texts() == ["queued", "sending", "sent", "delivered"]
    expect(steps.nth(2)).to_have_attribute("aria-current", "step")
    report_delivery(port, order_id)
    expect(title).to_have_text(f"The mail of {order_id} was delivered")
    expect(page.locator(".steps li.good")).to_have_text(["queued", "sending", "sent", "delivered"])
    expect(page.locator(".history li").last).to_contain_text("delivery")


def test_a_page_whose_login_has_ended_says_so(page: Page, port: int) -> None:
    log_in(page, port)
    page.context.clear_cookies()
    expect(page.locator("#notice")).to_have_text("The login has ended. Reload the page to log in again.")


def test_axe_finds_no_violation_and_every_screen_shows_the_whole_width(
    page: Page, port: int, relay: tuple[Sink, int], flaws: Callable[[], dict[str, Any]]
) -> None:
    order_id = f"axe-{'long' * 20}"
    fail(port, relay[0], order_id)
    page.goto(f"http://localhost:{port}/outbox")
    found = {"login": flaws()}
    log_in(page, port)
    order = f"/outbox/first/{order_id}"
    expect(page.get_by_role("row", name=f"failed {order_id}")).to_be_visible()
    for path in ("/outbox", "/outbox?do=retry-all", "/outbox?q=unknown", order, f"{order}?do=resend"):
        page.goto(f"http://localhost:{port}{path}")
        found[path] = flaws()
    assert {path: each for path, each in found.items() if each} == {}
