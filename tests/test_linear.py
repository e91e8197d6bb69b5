"""The cost of what outsiders write: four times the length costs about four times the CPU time, never sixteen times."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from factories import make_body, make_order
from growth import BODIES, TEXTS, expect_linear

from orderconfirm.logs import JsonFormatter, mask_addresses, printable
from orderconfirm.mail import text_filters
from orderconfirm.mail.renderer import MailRenderer
from orderconfirm.models import Email
from orderconfirm.order.models import Customer, Item, Order
from orderconfirm.order.schemas import OrderSchema, ResendSchema, load_order
from orderconfirm.order.serialization import canonical, differences, fingerprint
from orderconfirm.settings import TEMPLATES, Settings
from orderconfirm.smtp.message import OrderMessage, custom_variables, mailbox, unstructured
from orderconfirm.smtp.replies import read_reply
from orderconfirm.web import request_parsing as bodies
from orderconfirm.web.request_schemas import SearchSchema
from orderconfirm.web.webhooks import mailtrap as webhooks

#: The length of a long text in a body, and that of a long header: a server joins those of one name.
BODY, HEADER = 64_000, 16_000


@pytest.mark.parametrize("work", [mask_addresses, printable])
def test_what_is_logged_is_made_ready_in_linear_time(work: Callable[[str], str]) -> None:
    expect_linear(work, TEXTS, 32_000)


def test_a_log_line_is_written_in_linear_time() -> None:
    def write(words: str) -> str:
        return JsonFormatter().format(logging.makeLogRecord({"msg": "%s", "args": (words,), "reason": words}))

    expect_linear(write, TEXTS, 32_000)


@pytest.mark.parametrize("stage", ["mail", "rcpt", "end_of_data"])
@pytest.mark.parametrize("code", [450, 550])
def test_a_relay_s_reply_is_read_in_linear_time(stage: str, code: int) -> None:
    expect_linear(lambda words: read_reply(stage, code, words), TEXTS, 32_000)


ORDER = OrderSchema()
FIELDS = {
    "order_id": lambda value: {"order_id": value},
    "customer.name": lambda value: {"customer": {"name": value}},
    "customer.email": lambda value: {"customer": {"email": value}},
    "customer.address": lambda value: {"customer": {"address": value}},
    "items.name": lambda value: {"items": [{"name": value}]},
    "items.quantity": lambda value: {"items": [{"quantity": value}]},
    "items.price": lambda value: {"items": [{"price": value}]},
    "items.url": lambda value: {"items": [{"url": value}]},
    "adjustments.label": lambda value: {"adjustments": [{"label": value}]},
    "adjustments.amount": lambda value: {"adjustments": [{"amount": value}]},
    "shipping_address": lambda value: {"shipping_address": value},
    "shipping_address.lines": lambda value: {"shipping_address": {"lines": [value]}},
    **{
        name: lambda value, name=name: {name: value}  # type: ignore[misc]
        for name in (
            *("total", "tax_included", "currency", "locale", "timezone", "order_url", "notes", "unknown_field"),
            *("order_date", "estimated_delivery", "send_before"),
        )
    },
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_an_order_is_checked_in_linear_time(field: str) -> None:
    expect_linear(lambda value: load_order(ORDER, make_body(**FIELDS[field](value))), TEXTS, BODY)


@pytest.mark.parametrize("name", ["state", "email", "since", "until", "cursor", "limit", "unknown"])
def test_a_query_is_checked_in_linear_time(name: str) -> None:
    expect_linear(lambda value: SearchSchema().load({name: value}), TEXTS, HEADER)


@pytest.mark.parametrize("name", ["email", "reason", "unknown"])
def test_a_resend_is_checked_in_linear_time(name: str) -> None:
    expect_linear(lambda value: ResendSchema().load({name: value}), TEXTS, BODY)


@pytest.mark.parametrize("is_strict", [True, False], ids=["strict", "lenient"])
def test_json_is_decoded_in_linear_time(is_strict: bool) -> None:
    expect_linear(lambda body: bodies.decode(body, is_strict), BODIES, BODY)


def test_an_order_s_body_is_checked_in_linear_time() -> None:
    expect_linear(lambda body: load_order(ORDER, bodies.decode(body)), BODIES, BODY)


def test_a_webhook_s_body_is_read_in_linear_time() -> None:
    expect_linear(webhooks.read_events, BODIES, BODY)


@pytest.mark.parametrize("name", ["event_id", "event", "timestamp", "response", "response_code", "email", "reason"])
def test_a_webhook_s_event_is_read_in_linear_time(name: str) -> None:
    expect_linear(lambda value: webhooks.read_event({name: value}), TEXTS, BODY)


@pytest.mark.parametrize("name", ["shop", "order_id", "message_id", "mail_id"])
def test_what_an_event_names_its_mail_by_is_read_in_linear_time(name: str) -> None:
    expect_linear(lambda value: webhooks.read_event({"custom_variables": {name: value}}), TEXTS, BODY)


def test_orders_are_compared_in_linear_time() -> None:
    def items(count: int) -> Any:
        return canonical({"items": [{"name": str(number), "price": Decimal(number)} for number in range(count)]})

    expect_linear(fingerprint, {"items": items}, 8000)
    expect_linear(lambda order: differences(order, canonical(order)), {"items": items}, 8000)


@pytest.mark.parametrize(
    "layout",
    [
        lambda words: text_filters.wrapped(words, 60),
        lambda words: text_filters.wrapped(words, 1),
        lambda words: text_filters.columns(words, "$1.00", 60),
        lambda words: text_filters.columns("Total", words, 60),
        lambda words: text_filters.indented(words, 2),
        text_filters.tidy,
        text_filters.width,
    ],
    ids=["wrapped", "wrapped to one column", "columns, left", "columns, right", "indented", "tidy", "width"],
)
def test_text_is_laid_out_in_linear_time(layout: Callable[[str], object]) -> None:
    expect_linear(layout, TEXTS, 32_000)


def test_headers_are_written_in_linear_time() -> None:
    def write(words: str) -> None:
        unstructured(words, 9)
        mailbox(words, "a@b.example", 4)
        custom_variables({"order_id": words})

    expect_linear(write, TEXTS, 32_000)


def test_a_message_is_built_in_linear_time() -> None:
    def build(words: str) -> bytes:
        return OrderMessage(
            Email(words, words, words),
            sender=("Acme", "orders@acme.example"),
            recipient=(words, "jane@example.com"),
            reply_to="help@acme.example",
            message_id="<1@acme.example>",
            date=datetime(2025, 3, 15, tzinfo=UTC),
            headers={},
        ).as_bytes()

    expect_linear(build, TEXTS, 32_000)


#: No order has the others: its fields replace them.
ORDER_TEXTS = [name for name in TEXTS if name != "lone surrogates"]


@pytest.fixture(scope="module")
def renderer() -> MailRenderer:
    return MailRenderer(Settings.from_env({"JSON_LD": "true"}), [TEMPLATES])


@pytest.fixture(scope="module")
def inlining_renderer(tmp_path_factory: pytest.TempPathFactory) -> MailRenderer:
    """One whose style rules are inlined for each mail."""
    folder = tmp_path_factory.mktemp("templates")
    source = (TEMPLATES / "order_confirmation.html").read_text(encoding="utf-8")
    (folder / "order_confirmation.html").write_text(source.replace('class="head"', 'class="{{ "head" }}"'))
    return MailRenderer(Settings.from_env({}), [Path(folder), TEMPLATES])


def test_a_mail_is_composed_in_linear_time(renderer: MailRenderer) -> None:
    """With ever more lines, more than the HTML part shows, each text as long as it may be."""

    def order(text: Callable[[int], str], lines: int) -> Order:
        words = text(2000)
        items = tuple(Item(words[:500], Decimal(1), Decimal(1), variant=words[:500]) for _ in range(lines))
        return make_order(customer=Customer(words[:200], "a@b.example", words[:1000]), items=items, notes=words)

    # A line costs the same whatever the other lines are, so a few texts show what more lines cost.
    names = ("letters", "blanks", "ampersands", "combining marks", "CJK")
    expect_linear(renderer.render, {name: partial(order, TEXTS[name]) for name in names}, 200)


@pytest.mark.parametrize(
    ("which", "texts"),
    [
        ("renderer", ORDER_TEXTS),
        # The inliner parses HTML and leaves the words of a text alone.
        ("inlining_renderer", ("letters", "blanks", "quotes", "less-than signs", "ampersands", "entities", "emoji")),
    ],
    ids=["renderer", "inlining_renderer"],
)
def test_a_long_text_is_composed_in_linear_time(
    which: str, texts: Collection[str], request: pytest.FixtureRequest
) -> None:
    """Longer than any that is taken, and than an HTML part may be."""
    renderer: MailRenderer = request.getfixturevalue(which)

    def order(text: Callable[[int], str], length: int) -> Order:
        words = text(length)
        return make_order(customer=Customer(words, "a@b.example", words), notes=words, order_id=words)

    expect_linear(renderer.render, {name: partial(order, TEXTS[name]) for name in texts}, 64_000)
