"""The local inbox in a real browser: reading a mail, its checks, and deleting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from factories import body_of
from flask.testing import FlaskClient
from playwright.sync_api import Page, expect
from processes import post, query, wait_until

from orderconfirm.order.samples import SAMPLES


@pytest.fixture
def inbox(page: Page, local_port: int, local_folder: Path) -> Page:
    """The open inbox, which has the mails of these three orders and no others."""
    page.request.post(f"http://localhost:{local_port}/inbox/delete")
    [(before,)] = query(local_folder, "SELECT count(*) FROM outbox")
    for number in range(3):
        assert post(local_port, f"ORDER-{before}-{number}") == 202
    wait_until(lambda: query(local_folder, "SELECT count(*) FROM outbox WHERE state != 'sent'") == [(0,)])
    page.goto(f"http://localhost:{local_port}/inbox")
    expect(page.locator("#mails li")).to_have_count(3)
    return page


def answer(page: Page, button: str) -> None:
    page.get_by_role("dialog").get_by_role("button", name=button, exact=True).click()


def test_one_mail_and_then_all_are_deleted_after_a_question(inbox: Page, errors: list[str]) -> None:
    mails = inbox.locator("#mails li")
    second = mails.nth(1).locator("strong").inner_text()
    delete = inbox.get_by_role("button", name=f"Delete “{second}”")
    delete.click()
    expect(inbox.get_by_role("dialog", name=f"Delete “{second}”?")).to_be_visible()
    answer(inbox, "Keep")
    expect(mails).to_have_count(3)
    expect(delete).to_be_focused()
    delete.click()
    answer(inbox, "Delete")
    expect(mails).to_have_count(2)
    assert second not in inbox.locator("#mails").inner_text()
    mails.first.get_by_role("link").click()
    inbox.wait_for_url("**/inbox/*")  # until its script has run: without it, Delete asks on a page of its own
    inbox.get_by_role("button", name="Delete").click()
    answer(inbox, "Delete")
    expect(mails).to_have_count(1)
    inbox.get_by_role("button", name="Delete all").click()
    answer(inbox, "Delete all")
    expect(inbox.get_by_role("heading", name="No mail yet")).to_be_visible()
    expect(inbox.get_by_role("button", name="Delete all")).to_be_hidden()
    assert errors == []


def test_a_new_mail_appears_and_the_focus_stays(inbox: Page, local_port: int) -> None:
    inbox.locator("#mails li button").first.focus()
    focused = "document.activeElement.getAttribute('formaction')"
    before = inbox.evaluate(focused)
    post(local_port, f"LATER-{before[-30:-7]}")
    expect(inbox.locator("#news")).to_have_text("1 new mail.")
    assert before and inbox.evaluate(focused) == before


def test_a_mail_is_as_wide_as_the_page_and_as_high_as_its_content(inbox: Page) -> None:
    inbox.set_viewport_size({"width": 1280, "height": 800})
    inbox.locator("#mails a").first.click()
    frame = inbox.locator("#mail-frame")
    expect(inbox.frame_locator("#mail-frame").locator("h1")).to_have_text("Thank you for your order")
    outer, inner = frame.evaluate("frame => [frame.offsetHeight, frame.contentDocument.documentElement.scrollHeight]")
    assert outer == inner > 700
    assert frame.bounding_box()["width"] > 800  # type: ignore[index]
    card = inbox.frame_locator("#mail-frame").locator(".card").first
    inbox.get_by_role("radio", name="Phone").check()
    assert frame.bounding_box()["width"] == 390  # type: ignore[index]
    inbox.get_by_role("radio", name="Dark").check()
    expect(card).not_to_have_css("background-color", "rgb(255, 255, 255)")


def test_the_pages_are_accessible_and_fit_every_screen(inbox: Page, flaws: Callable[..., dict[str, Any]]) -> None:
    assert flaws() == {}
    inbox.get_by_role("button", name="Delete all").click()
    assert flaws((360, "dark")) == {}
    answer(inbox, "Keep")
    inbox.locator("#mails a").first.click()
    expect(inbox.locator(".checks li")).to_have_count(12)
    assert flaws() == {}
    for part in ("Text", "Source", "Headers"):
        inbox.get_by_role("link", name=part).click()
        assert flaws((360, "light")) == {}


class TestWithoutBrowser:
    @pytest.fixture
    def client(self, start_app: Callable[..., Any], tmp_path: Path) -> FlaskClient:
        client: FlaskClient = start_app().test_client()
        client.post("/api/order-confirmation", json=body_of(SAMPLES["full"]), headers={"Prefer": "wait=10"})
        return client

    def test_a_message_id_leads_to_its_mail(self, client: FlaskClient) -> None:
        message_id = client.get("/api/order-confirmation/R-100482").get_json()["message_id"]
        response = client.get(f"/inbox/of/{message_id}", follow_redirects=True)
        assert "Wool blanket" in response.get_data(as_text=True)
        assert client.get("/inbox/of/%3Cother@shop.example%3E").status_code == 404

    @pytest.mark.parametrize("path", ["/inbox/delete", "/inbox/{}/delete"])
    def test_no_other_site_can_delete(self, client: FlaskClient, path: str) -> None:
        [mail_id] = [link.partition('"')[0] for link in self.page(client).split('<a href="/inbox/')[1:]]
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert client.post(path.format(mail_id), headers=headers).status_code == 403
        assert "Anna Björk" in self.page(client)
        assert client.post(path.format(mail_id)).status_code == 303
        assert "Anna Björk" not in self.page(client)

    @pytest.mark.parametrize("name", ["..", "../../outbox.db", "nothing"])
    def test_only_mails_are_deleted(self, client: FlaskClient, tmp_path: Path, name: str) -> None:
        client.post(f"/inbox/{name}/delete")
        assert (tmp_path / "outbox.db").exists() and "Anna Björk" in self.page(client)

    def page(self, client: FlaskClient) -> str:
        return client.get("/inbox").get_data(as_text=True)
