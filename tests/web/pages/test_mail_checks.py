"""The checks of a finished mail: each passes for our own mails, and fails for the mail it warns about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from renderers import shared_renderer

from orderconfirm.order.samples import SAMPLES
from orderconfirm.settings import Settings
from orderconfirm.smtp.local_inbox import InboxMail
from orderconfirm.web.pages.mail_checks import check_mail

HTML = (
    '<html lang="en"><style>@media (prefers-color-scheme: dark) {}</style><body>Order 1, total $5<img alt="" src='
    '"https://shop.example/a.png"><a href="https://shop.example/">Shop</a><a href="mailto:a@shop.example">Mail</a>'
)
GOOD = InboxMail(
    id="1",
    sender="Shop <orders@shop.com>",
    to="jo@example.com",
    subject="Order 1 confirmed",
    message_id="<1@shop.com>",
    received=datetime(2026, 1, 1, tzinfo=UTC),
    size=1000,
    text="Order 1",
    html=HTML,
    source="",
    headers=(),
)


def failures(mail: InboxMail) -> list[str]:
    return [check.text for check in check_mail(mail).checks if not check.is_passed]


@pytest.mark.parametrize("sample", [name for name in SAMPLES if name != "hostile"])
def test_our_own_mails_pass_every_check(sample: str) -> None:
    email = shared_renderer(Settings()).render(SAMPLES[sample])
    assert failures(replace(GOOD, subject=email.subject, text=email.text, html=email.html)) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"html": HTML + "x" * 110_000}, "Gmail clips it at 102 kB"),
        ({"text": " \n"}, "no plain text part"),
        ({"subject": "x" * 71}, "has 71 characters"),
        ({"subject": ""}, "has 0 characters"),
        ({"html": HTML.replace("Order 1, total $5", "")}, "begins with no text of its own"),
        ({"html": HTML.replace("Order 1, total $5", "Order 1 confirmed by us")}, "begins with no text of its own"),
        ({"sender": "orders@shop.example"}, "shop.example is reserved"),
        (
            {"html": HTML.replace('alt=""', "")},
            "without an alternative text leave a gap where images are blocked: https",
        ),
        ({"html": HTML.replace("https://shop.example/a", "http://shop.example/a")}, "not absolute https"),
        ({"html": HTML.replace('"https://shop.example/"', '"/orders"')}, "not absolute https"),
        ({"html": HTML.replace("https://shop.example/", "https://localhost:8000/")}, "only on this machine"),
        ({"html": HTML.replace("https://shop.example/", "https://192.168.0.7/")}, "only on this machine"),
        ({"html": HTML + "<form><video></form>"}, "Elements that mail programs remove: form, video."),
        ({"html": HTML + "<script>x</script>"}, "Elements that mail programs remove: script."),
        ({"html": HTML + "Hello {{ name }}"}, "placeholder of a template: {{ name }}."),
        ({"html": HTML.replace("prefers-color-scheme", "width")}, "no colours for dark mode"),
        ({"html": HTML.replace(' lang="en"', "")}, "states no language"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_a_check_fails_with_a_reason(changes: dict[str, str], words: str) -> None:
    assert failures(GOOD) == []
    assert [words in text for text in failures(replace(GOOD, **changes))].count(True) == 1  # type: ignore[arg-type]


def test_links_are_listed_once_in_their_order() -> None:
    html = HTML + '<a href="https://shop.example/">Again</a><a name="x">No link</a><a href="http://[x">Broken</a>'
    assert check_mail(replace(GOOD, html=html)).links == (
        "https://shop.example/",
        "mailto:a@shop.example",
        "http://[x",
    )
