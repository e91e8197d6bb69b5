"""The compose page in a real browser: the way of somebody who has never seen it, by mouse and by keyboard."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from factories import body_of, make_body, make_full_order
from playwright.sync_api import Page, expect
from processes import query

from orderconfirm.order.samples import SAMPLES
from orderconfirm.order.schemas import OrderSchema, load_order

#: How to run the code of each language.
RUNNERS = {
    "curl": ["sh", "-c"],
    "Python": [sys.executable, "-c"],
    "PHP": ["php", "-r"],
    "JavaScript": ["node", "--input-type=module", "-e"],
}


@pytest.fixture
def compose(page: Page, local_port: int) -> Page:
    """The open page, with the first sample's mail in view."""
    page.goto(f"http://localhost:{local_port}/")
    expect(mail(page)).to_contain_text("Wireless Headphones")
    return page


def mail(page: Page) -> Any:
    return page.frame_locator("#mail-frame").locator("body")


def field(page: Page, pointer: str) -> Any:
    return page.locator(f'[name="{pointer}"]')


def choose(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name, exact=True).check()


def paste(page: Page, order: Any) -> None:
    choose(page, "JSON")
    page.locator("#json").fill(order if isinstance(order, str) else json.dumps(order))


def shown_order(page: Page) -> dict[str, Any]:
    """The order as the form would send it."""
    choose(page, "Form")
    choose(page, "JSON")
    order: dict[str, Any] = json.loads(page.locator("#json").input_value())
    return order


def test_a_newcomer_edits_breaks_mends_sends_and_reads_an_order(compose: Page, errors: list[str]) -> None:
    field(compose, "/customer/name").fill("Zoë Newcomer")
    field(compose, "/items/1/quantity").fill("3")
    expect(mail(compose)).to_contain_text("Hello Zoë Newcomer")
    expect(mail(compose)).to_contain_text("$139.96")

    field(compose, "/customer/email").fill("zoe@")
    message = compose.locator(".error")
    expect(message).to_contain_text("Email is not an email address")
    expect(field(compose, "/customer/email")).to_have_attribute("aria-invalid", "true")
    expect(compose.locator("#problem")).to_contain_text("Customer, Email is not an email address")
    expect(compose.locator("#freshness")).to_have_text("Shows the last valid order")
    expect(mail(compose)).to_contain_text("Hello Zoë Newcomer")

    compose.get_by_role("button", name="Send the order").click()
    expect(compose.locator("#problem-title")).to_be_focused()
    compose.get_by_role("button", name="Customer, Email").click()
    expect(field(compose, "/customer/email")).to_be_focused()
    field(compose, "/customer/email").fill("zoe@example.com")
    expect(message).to_have_count(0)
    expect(compose.locator("#problem")).to_be_hidden()

    order_id = field(compose, "/order_id").input_value()
    compose.get_by_role("button", name="Send the order").click()
    expect(compose.locator("#outcome-title")).to_be_focused()
    expect(compose.locator("#outcome-title")).to_have_text(f"The mail of {order_id} was sent")
    assert compose.locator(".steps li.good").all_inner_texts() == ["queued", "sending", "sent"]
    assert "queued" not in compose.locator("#outcome").inner_text().replace("queued", "", 1)  # one state is shown
    outbox = compose.get_by_role("link", name="Open in the outbox").get_attribute("href")
    assert outbox and compose.request.get(urljoin(compose.url, outbox)).ok
    compose.get_by_role("link", name="Read the mail").click()
    compose.wait_for_url(re.compile(r"/inbox/\d+"))
    expect(mail(compose)).to_contain_text("Hello Zoë Newcomer")
    # The browser reports each of the refused requests.
    assert [error for error in errors if "422" not in error] == []


def test_the_same_way_by_keyboard_alone(compose: Page) -> None:
    keyboard = compose.keyboard

    def tab_to(name: str) -> None:
        for _ in range(60):
            keyboard.press("Tab")
            label = "document.activeElement.labels?.[0]?.innerText ?? document.activeElement.innerText"
            if compose.evaluate(label).strip().startswith(name):
                return
        raise AssertionError(f"{name} is not reached")

    tab_to("Skip to the content")
    keyboard.press("Enter")
    tab_to("Form")
    tab_to("Name")
    keyboard.press("ControlOrMeta+a")
    keyboard.type("Kim Keys")
    expect(mail(compose)).to_contain_text("Hello Kim Keys")
    tab_to("Email")
    keyboard.press("End")
    keyboard.type("@")
    expect(compose.locator(".error")).to_contain_text("Email is not")
    keyboard.press("Enter")
    expect(compose.locator("#problem-title")).to_be_focused()
    keyboard.press("Tab")
    keyboard.press("Enter")
    expect(field(compose, "/customer/email")).to_be_focused()
    keyboard.press("End")
    keyboard.press("Backspace")
    expect(compose.locator(".error")).to_have_count(0)
    tab_to("Add an item")
    keyboard.press("Enter")
    expect(field(compose, "/items/2/name")).to_be_focused()
    keyboard.type("Cable")
    tab_to("Price")
    keyboard.type("5")
    expect(mail(compose)).to_contain_text("Cable")
    tab_to("Send the order")
    keyboard.press("Enter")
    expect(compose.locator("#outcome-title")).to_contain_text("was sent")
    expect(compose.locator("#outcome-title")).to_be_focused()
    keyboard.press("Tab")
    keyboard.press("Enter")
    expect(mail(compose)).to_contain_text("Hello Kim Keys")


def fields_of(schema: Any, prefix: str = "") -> Iterator[str]:
    for name, each in schema.fields.items():
        inner = getattr(each, "inner", each)
        nested = getattr(inner, "schema", None)
        part = f"{prefix}/{name}/-" if inner is not each and nested else f"{prefix}/{name}"
        yield from fields_of(nested, part) if nested else (part,)


def test_the_form_has_every_field_of_an_order(start_app: Callable[..., Any]) -> None:
    html = start_app().test_client().get("/").get_data(as_text=True)
    assert sorted(re.findall(r'name="(/[^"]*)"', html)) == sorted(fields_of(OrderSchema()))


@pytest.mark.parametrize("name", [*SAMPLES, "every field"])
def test_an_order_passes_through_the_form_unchanged(compose: Page, name: str) -> None:
    body = body_of(make_full_order() if name == "every field" else SAMPLES[name])
    paste(compose, body)
    sent = json.loads(json.dumps(shown_order(compose)), parse_float=str)
    assert load_order(OrderSchema(), sent) == load_order(OrderSchema(), body)


def test_a_pasted_order_is_sent_as_it_is(compose: Page, local_folder: Path) -> None:
    paste(compose, make_body(order_id="PASTED-1", order_date="2025-03-15T23:30:00-05:00", gift=True, total="119.9700"))
    expect(compose.locator("#remarks")).to_have_text("gift is not a field of an order and was ignored.")
    expect(mail(compose)).to_contain_text("PASTED-1")
    compose.get_by_role("button", name="Send the order").click()
    expect(compose.locator("#outcome-title")).to_have_text("The mail of PASTED-1 was sent")
    [(payload,)] = query(local_folder, "SELECT payload FROM outbox WHERE order_id = 'PASTED-1'")
    assert '"order_date":"2025-03-15T23:30:00-05:00"' in str(payload)
    choose(compose, "Form")
    expect(field(compose, "/order_date")).to_have_value("2025-03-15T23:30:00-05:00")


def test_unreadable_json_says_where_and_leaves_the_form_as_it_was(compose: Page) -> None:
    paste(compose, '{"order_id": "A-1",\n "total": }')
    expect(compose.locator("#problem")).to_contain_text("line 2")
    paste(compose, "[]")
    expect(compose.locator("#problem")).to_contain_text("must be a JSON object")
    choose(compose, "Form")
    expect(compose.locator("#problem")).to_be_hidden()
    expect(field(compose, "/customer/name")).to_have_value("John Doe")


@pytest.mark.parametrize(
    ("changes", "summary", "at"),
    [
        ({"items": []}, "Items must have 1 to 500 entries", None),
        ({"customer": "John"}, "Customer must be an object", None),
        ({"items": ["tea"]}, "Item 1 must be an object", None),
        ({"total": "a lot"}, "Total must be a number", "/total"),
        (
            {"items": [{"name": "Tea", "quantity": 1, "price": 1, "url": "tea"}]},
            "Item 1, Link must be an absolute URL",
            "/items/0/url",
        ),
        (
            {"adjustments": [{"label": "Tip", "amount": "some"}]},
            "Adjustment 1, Amount must be a number",
            "/adjustments/0/amount",
        ),
        (
            {"billing_address": {"lines": ["a", "b" * 201]}},
            "Billing address, Lines must have at most 200 characters",
            "/billing_address/lines",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_error_is_in_words_and_at_its_field(
    compose: Page, changes: dict[str, Any], summary: str, at: str | None
) -> None:
    paste(compose, make_body(**changes))
    expect(compose.locator("#problem li")).to_have_count(1)
    expect(compose.locator("#problem li")).to_contain_text(summary)
    assert "/" not in compose.locator("#problem li").inner_text().replace("https://", "").replace("http://", "")
    compose.locator("#problem li button").click()
    if at:
        expect(field(compose, at)).to_be_focused()
        expect(compose.locator(".error")).to_be_visible()


def test_the_total_follows_the_parts_until_it_is_changed(compose: Page) -> None:
    total = field(compose, "/total")
    compose.get_by_text("Discount, shipping, tax and fees").click()
    for pointer, amount in (("/discount", "-10"), ("/shipping_cost", "4.5"), ("/tax", "1.03")):
        field(compose, pointer).fill(amount)
    compose.get_by_role("button", name="Add an adjustment").click()
    field(compose, "/adjustments/0/label").fill("Gift card")
    field(compose, "/adjustments/0/amount").fill("-5")
    expect(total).to_have_value("110.50")
    field(compose, "/tax_included").select_option("true")
    expect(total).to_have_value("109.47")
    field(compose, "/currency").fill("JPY")
    expect(total).to_have_value("109")
    field(compose, "/currency").fill("USD")
    total.fill("100")
    field(compose, "/items/0/quantity").fill("2")
    expect(compose.locator("#remarks")).to_contain_text("its parts add up to 189.46")
    expect(total).to_have_value("100")
    total.fill("")
    total.blur()
    expect(total).to_have_value("189.46")
    compose.get_by_role("button", name="Remove Item 1").click()
    expect(total).to_have_value("29.48")


def test_the_mail_is_shown_as_text_on_a_phone_and_in_dark_colours(compose: Page) -> None:
    frame = compose.locator("#mail-frame")
    card = compose.frame_locator("#mail-frame").locator(".card").first
    white = "rgb(255, 255, 255)"
    expect(card).to_have_css("background-color", white)
    choose(compose, "Dark")
    expect(card).not_to_have_css("background-color", white)
    compose.emulate_media(color_scheme="dark")
    choose(compose, "Light")
    expect(card).to_have_css("background-color", white)
    choose(compose, "Phone")
    assert frame.bounding_box()["width"] == 390
    expect(compose.frame_locator("#mail-frame").locator("h1")).to_have_css("font-size", "24px")
    height = "frame => [frame.offsetHeight, frame.contentDocument.documentElement.scrollHeight]"
    outer, inner = frame.evaluate(height)
    assert outer == inner > 700
    choose(compose, "Text")
    expect(compose.locator("#mail-text")).to_contain_text("Thank you for your order")
    expect(frame).to_be_hidden()


def test_nothing_in_a_mail_runs_or_leaves_the_frame(compose: Page, errors: list[str]) -> None:
    compose.locator("#sample").select_option("Hostile text")
    expect(mail(compose)).to_contain_text("<script>alert(1)</script>")
    compose.evaluate("""async () => {
        const { showHtml } = await import("/static/mail_view.js");
        await showHtml('<p onclick="top.hit = 1">text</p><script>top.hit = 2</script><a href="https://shop.example">x</a>');
    }""")
    mail(compose).get_by_text("text").click()
    assert compose.evaluate("window.hit") is None
    assert compose.frame_locator("#mail-frame").locator("a").get_attribute("target") == "_blank"


def test_a_sample_has_a_new_id_and_a_changed_one_is_the_reader_s_own(compose: Page) -> None:
    before = field(compose, "/order_id").input_value()
    compose.locator("#sample").select_option("120 items")
    expect(mail(compose)).to_contain_text("Enamel mug no. 120")
    assert field(compose, "/order_id").input_value() != before
    compose.locator("#sample").select_option("Right to left")
    expect(compose.frame_locator("#mail-frame").locator("html")).to_have_attribute("dir", "rtl")
    field(compose, "/customer/name").fill("Noor")
    expect(compose.locator("#sample")).to_have_value("")


@pytest.mark.parametrize("language", RUNNERS)
def test_the_code_sends_the_order(compose: Page, local_folder: Path, language: str) -> None:
    if shutil.which(RUNNERS[language][0]) is None:
        pytest.skip(f"no {RUNNERS[language][0]}")
    order_id = f"{language} ' \" \\ $HOME"
    field(compose, "/order_id").fill(order_id)
    field(compose, "/customer/name").fill('Zoë O\'Hara \\n $x """')
    choose(compose, "Code")
    choose(compose, language)
    compose.context.grant_permissions(["clipboard-read", "clipboard-write"])
    compose.get_by_role("button", name="Copy").click()
    expect(compose.get_by_role("button", name="Copied")).to_be_visible()
    code = compose.evaluate("navigator.clipboard.readText()").removeprefix("<?php")
    done = subprocess.run([*RUNNERS[language], code], capture_output=True, encoding="utf-8", timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Order confirmation queued" in done.stdout
    payloads = {str(id): str(payload) for id, payload in query(local_folder, "SELECT order_id, payload FROM outbox")}
    assert json.loads(payloads[order_id])["request"]["customer"]["name"] == 'Zoë O\'Hara \\n $x """'


def test_the_page_is_accessible_and_fits_every_screen(compose: Page, flaws: Callable[..., dict[str, Any]]) -> None:
    compose.locator("#sample").select_option("Every field")
    expect(mail(compose)).to_contain_text("Wool blanket")
    for fold in compose.locator("#order details").all():
        fold.evaluate("fold => { fold.open = true; }")
    field(compose, "/items/0/price").fill("-1")
    expect(compose.locator(".error")).to_be_visible()
    assert flaws() == {}
    field(compose, "/items/0/price").fill("89")
    expect(compose.locator("#problem")).to_be_hidden()
    compose.get_by_role("button", name="Send the order").click()
    expect(compose.get_by_role("link", name="Read the mail")).to_be_visible()
    choose(compose, "JSON")
    assert flaws((360, "dark"), (1280, "light")) == {}
    choose(compose, "Code")
    assert flaws((360, "light")) == {}


def test_the_api_documentation_shows_its_first_call_at_once_in_light_and_dark(page: Page, local_port: int) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(f"http://localhost:{local_port}/docs")
    first = page.get_by_text("Place an order.")
    expect(first).to_be_in_viewport()
    expect(page.locator("html")).to_have_class("dark-mode")
    page.get_by_text("All types of problems").click()
    expect(page.get_by_role("cell", name="order-conflict")).to_be_visible()
    page.emulate_media(color_scheme="light")
    expect(page.locator("html")).to_have_class("")
    page.goto(f"http://localhost:{local_port}/redoc")
    page.set_viewport_size({"width": 360, "height": 800})
    title = page.get_by_role("heading", name="orderconfirm", exact=False).first
    line = title.evaluate("each => parseFloat(getComputedStyle(each).lineHeight)")
    words = title.evaluate("""each => {
        const range = document.createRange();
        const text = document.createTreeWalker(each, NodeFilter.SHOW_TEXT).nextNode();
        range.setStart(text, 0);
        range.setEnd(text, "orderconfirm".length);
        return range.getBoundingClientRect().height;
    }""")
    assert words < 1.5 * line
