"""The cost of what outsiders write: four times the length costs about four times the CPU time, never sixteen times."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from factories import make_body, make_order
from flask.testing import FlaskClient
from marshmallow import ValidationError
from werkzeug.exceptions import BadRequest

from orderconfirm import create_app
from orderconfirm.errors import InvalidRequest
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

#: Seconds of CPU time below which a cost says nothing.
NOISE = 0.0005
#: Four times the length may cost so many times as much: linear is 4, quadratic is 16.
MAX_RATIO = 8
#: The length of a long text in a body, and that of a long header: a server joins those of one name.
BODY, HEADER = 64_000, 16_000

Grow = Callable[[int], Any]


def cost(work: Callable[[Any], object], value: Any) -> float:
    """Seconds of this thread's CPU time, without the garbage collector's, which depends on everything else."""
    gc.disable()
    try:
        began = time.thread_time()
        with suppress(ValidationError, InvalidRequest, BadRequest):
            work(value)
        return time.thread_time() - began
    finally:
        gc.enable()


def expect_linear(work: Callable[[Any], object], shapes: Mapping[str, Grow], length: int) -> None:
    """Fail when `work` on any shape of `length` costs far more than four times as much as on a quarter of it.

    One high ratio may be another process's fault, so five tries must agree.
    """
    for name, grow in shapes.items():
        tries: list[tuple[float, float]] = []
        while not tries or (len(tries) < 5 and _is_too_much(*tries[-1])):
            long = cost(work, grow(length))
            tries.append((cost(work, grow(length // 4)) if long > MAX_RATIO * NOISE else NOISE, long))
        assert not _is_too_much(*tries[-1]), f"{name}: {tries} s, the second for four times the length"


def _is_too_much(short: float, long: float) -> bool:
    return long > MAX_RATIO * max(short, NOISE)


def repeated(unit: str) -> Callable[[int], str]:
    return lambda length: unit * (length // len(unit))


#: What makes one pattern or another begin again and again.
TEXTS: dict[str, Callable[[int], str]] = {
    "letters": repeated("a"),
    "letters before a bare @": lambda length: "a" * length + " @",
    "blanks": repeated(" "),
    "a year, blanks and a letter": lambda length: "2025" + " " * length + "x",
    "an offset after blanks": lambda length: "2025-03-15T14:30:00" + " " * length + "+01:00",
    "a time with decimals": lambda length: "2025-03-15T14:30:00." + "0" * length,
    "times": repeated("1:11 "),
    "digits": repeated("9"),
    "decimals": lambda length: "0." + "9" * length,
    "quotes": repeated('"'),
    "quoted words": repeated('"a" '),
    "escaped quotes": repeated('\\"'),
    "backslashes": repeated("\\"),
    "at signs": repeated("@"),
    "addresses": repeated("a@b "),
    "addresses without blanks": repeated("a@b"),
    "apostrophes": repeated("'"),
    "addresses with apostrophes": repeated("a@b'"),
    "dots": repeated("."),
    "labels": repeated("a."),
    "ways up": repeated("/.."),
    "slashes": repeated("/"),
    "verbs": repeated("/cancel"),
    "schemes": repeated("https://"),
    "brackets": repeated("["),
    "less-than signs": repeated("<"),
    "ampersands": repeated("&"),
    "open entities": repeated("&#"),
    "entities": repeated("&amp;"),
    "commas": repeated(", "),
    "states": repeated("sent,"),
    "preferences": repeated("wait = "),
    "subtags": repeated("a-"),
    "line breaks": repeated("\n"),
    "carriage returns": repeated("\r\n"),
    "control characters": repeated("\x01"),
    "lone surrogates": repeated("\ud800"),
    "combining marks": repeated("\u0301"),
    "words of combining marks": repeated("\u0301 "),
    "marks after a wide start": lambda length: "注" * 40 + "\u0301" * length,
    "marks after a narrow start": lambda length: "x" * 70 + "\u0301" * length,
    "variation selectors": lambda length: "注" * 40 + "\ufe0f" * length,
    "zero-width spaces": repeated("\u200b"),
    "regional indicators": repeated("🇩"),
    "CJK": repeated("注"),
    "CJK and links": repeated("注https://x "),
    "emoji": repeated("😀"),
    "letters with marks": repeated("e\u0301"),
    "words": repeated("word "),
    "senders": repeated("from address "),
    "messages": repeated("messages "),
    "messages over": lambda length: "messages " * (length // 9) + "exceed",
    "limits": repeated("limit "),
    "exceeded messages and limits": repeated("exceeded messages limit size "),
    "times to try again": repeated("try again in 9 "),
}


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


BODIES: dict[str, Grow] = {
    "letters": lambda length: b"a" * length,
    "a string": lambda length: b'"' + b"a" * length + b'"',
    "an open string": lambda length: b'"' + b"a" * length,
    "escapes": lambda length: b'"' + rb"\ud83d" * (length // 6) + b'"',
    "an integer": lambda length: b'{"total":' + b"9" * length + b"}",
    "a decimal": lambda length: b'{"total":0.' + b"9" * length + b"}",
    "an exponent": lambda length: b'{"total":1e' + b"9" * length + b"}",
    "integers": lambda length: b"[" + b"9999," * (length // 5) + b"9]",
    "integers as long as may be": lambda length: b"[" + (b"9" * 4300 + b",") * (length // 4301) + b"9]",
    "keys": lambda length: b"{" + b",".join(b'"%x":0' % number for number in range(length // 9)) + b"}",
    "one key again and again": lambda length: b"{" + b",".join([b'"a":0'] * (length // 6)) + b"}",
    "keys and the last one twice": lambda length: (
        b"{" + b",".join(b'"%x":0' % number for number in range(length // 9)) + b',"0":0}'
    ),
    "depth": lambda length: b"[" * length,
    "closed depth": lambda length: b'{"a":' * (length // 6) + b"0" + b"}" * (length // 6),
    "blanks": lambda length: b" " * length,
    "lines": lambda length: b"{}\n" * (length // 3),
    "lines that cannot be read": lambda length: b"{\n" * (length // 2),
    "objects": lambda length: b"[" + b"{}," * (length // 3) + b"{}]",
    "what is not UTF-8": lambda length: b"\xff" * length,
}


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


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    """Of a service that asks for a key and knows callers by X-Forwarded-For; nothing is stored or sent."""
    settings = Settings.from_env({"API_KEYS": "shop:a-long-random-key", "TRUSTED_PROXIES": "1"})
    return create_app(settings).test_client()


KEY = {"X-API-Key": "a-long-random-key"}
#: What a server lets through in a request line or a header.
LINES = {name: text for name, text in TEXTS.items() if text(400).isascii() and text(400).isprintable()}
_callers = count()


def stranger() -> dict[str, str]:
    """The headers of a caller without a key who has not called before: one who has is made to wait."""
    return {"X-Forwarded-For": f"10.0.0.{next(_callers)}"}


@pytest.mark.parametrize("headers", [lambda: KEY, stranger], ids=["with a key", "without a key"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/order-confirmation/{}"),
        ("POST", "/api/order-confirmation/{}/resend"),
        ("POST", "/api/order-confirmation/{}/cancel"),
        ("GET", "/api/order-confirmation/{}/cancel"),
        ("GET", "/{}"),
        ("GET", "/inbox/{}/html"),
        ("GET", "/docs/assets/{}"),
        ("GET", "/static/{}"),
    ],
)
def test_a_path_is_routed_and_answered_in_linear_time(
    client: FlaskClient, method: str, path: str, headers: Callable[[], dict[str, str]]
) -> None:
    def ask(words: str) -> object:
        return client.open(method=method, headers=headers(), environ_overrides={"PATH_INFO": path.format(words)})

    expect_linear(ask, LINES, HEADER)


@pytest.mark.parametrize(
    "header",
    [
        *("Accept", "Accept-Encoding", "Authorization", "Content-Encoding", "Content-Type", "Cookie", "Host"),
        *("Idempotency-Key", "If-None-Match", "Mailtrap-Signature", "Origin", "Prefer", "Range", "X-API-Key"),
        *("X-CSRFToken", "X-Forwarded-For", "X-Request-ID"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/order-confirmation/preview"),
        ("GET", "/api/order-confirmations"),
        ("POST", "/demo/orders"),
        ("GET", "/openapi.json"),
        ("GET", "/"),
    ],
)
def test_a_header_is_read_in_linear_time(client: FlaskClient, method: str, path: str, header: str) -> None:
    def ask(words: str) -> object:
        return client.open(path, method=method, headers={**stranger(), **KEY, header: words}, json={})

    expect_linear(ask, LINES, HEADER)


@pytest.mark.parametrize("query", ["{}", "email={}", "since={}", "a={}", "{}=&email=a@b.example"])
def test_a_query_string_is_read_in_linear_time(client: FlaskClient, query: str) -> None:
    def ask(words: str) -> object:
        return client.get("/api/order-confirmations", query_string=query.format(words), headers=KEY)

    expect_linear(ask, {**LINES, "fields": repeated("a=1&b=2&"), "escapes": repeated("%20")}, HEADER)
