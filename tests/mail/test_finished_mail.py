"""A linter for finished messages, applied to every sample order in every shipped language."""

from __future__ import annotations

import email as email_package
import random
import re
from dataclasses import replace
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr, parsedate_to_datetime
from html.parser import HTMLParser
from typing import cast

import pytest

from orderconfirm.mail.i18n import Languages
from orderconfirm.mail.renderer import MAX_BYTES, MailRenderer
from orderconfirm.models import Email
from orderconfirm.order.samples import SAMPLES
from orderconfirm.settings import ROOT, Settings
from orderconfirm.smtp.message import OrderMessage

OURS = ROOT / "templates"
SETTINGS = Settings(company_name="Müller & Söhne, Inc.", environment="production")
LANGUAGES = Languages([OURS], "en").available
ONCE = ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "Reply-To")
CHARACTERS = [
    *("\r\n \r \n \x00 \t \" ' , ; : < > @ ( ) \\ = ? _ % { } & =?utf-8?q?x?= \r\nBcc:x@y.example".split(" ")),
    *("a B 7 é ß 名 ع 👩‍🚀 \u202e \u200b \u2028 \ud800 \x7f \x85".split(" ")),
    "word ",
    "x" * 90,
]


class Words(HTMLParser):
    """The visible words of an HTML part."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.words = ""
        self._hidden = False
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden = tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        self.words += "" if self._hidden else data


def build(email: Email, name: str = "Jo", order_id: str = "1") -> bytes:
    return OrderMessage(
        email,
        sender=(SETTINGS.sender_name, "orders@shop.example"),
        recipient=(name, "jo@example.com"),
        reply_to="help@shop.example",
        message_id="<0123456789abcdef@shop.example>",
        date=SAMPLES["smallest"].order_date,
        headers={"Auto-Submitted": "auto-generated"},
    ).as_bytes()


def errors(source: bytes, order_id: str, total: str) -> list[str]:
    """Return every error of a finished message."""
    message = cast(EmailMessage, email_package.message_from_bytes(source, policy=policy.default))
    found = [str(defect) for part in message.walk() for defect in part.defects]
    found += [f"{name}: {len(message.get_all(name, []))} times" for name in ONCE if len(message.get_all(name, [])) != 1]
    found += [f"{name} is not one of our headers" for name in message if name not in (*ONCE, "Auto-Submitted")]
    if not source.isascii():
        found.append("8-bit bytes")
    if re.search(rb"(?<!\r)\n|\r(?!\n)", source):
        found.append("a line break that is not CRLF")
    if long_lines := [line for line in source.split(b"\r\n") if len(line) > 78]:
        found.append(f"{len(long_lines)} lines longer than 78")
    if parsedate_to_datetime(message["Date"]).tzinfo is None:
        found.append("a Date without a time zone")
    if message["Message-ID"].strip("<>").rpartition("@")[2] != message["From"].addresses[0].domain:
        found.append("a Message-ID of another domain")
    content_types = [part.get_content_type() for part in message.walk()]
    if content_types != ["multipart/alternative", "text/plain", "text/html"]:
        return [*found, f"parts {content_types}"]
    text, html = (str(part.get_content()).replace("\r\n", "\n") for part in message.iter_parts())
    for part_name, words in (("text", text), ("html", Words(html).words)):
        flat = " ".join(words.split())
        if "".join(order_id.split()) not in "".join(flat.split()):
            found.append(f"{part_name} without the order number")
        if total not in flat:
            found.append(f"{part_name} without the total {total}")
        if re.search(r"\bNone\b|\bundefined\b|jj\d+jj|<built-in", flat):
            found.append(f"{part_name} shows a missing value")
    if len(html.encode()) > MAX_BYTES:
        found.append(f"{len(html.encode())} bytes of HTML")
    return found


@pytest.fixture(scope="module")
def renderer() -> MailRenderer:
    return MailRenderer(SETTINGS, [OURS])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("sample", SAMPLES)
def test_a_finished_message_has_no_errors(renderer: MailRenderer, sample: str, language: str) -> None:
    order = replace(SAMPLES[sample], locale=language)
    mail = renderer.render(order)
    total = " ".join(renderer._context(order, renderer._languages.get(order.locale), 1)["order"].total.split())
    assert errors(build(mail, order.customer.name), order.order_id, total) == []
    if sample != "hostile":
        assert "{{" not in mail.html + mail.text and "%(" not in mail.html + mail.text


def test_the_linter_finds_errors() -> None:
    good = Email("S", "Order 1 None of $5.00\n", "<p>Order 1</p>")
    source = build(good).replace(b"Subject: S\r\n", b"Subject: S\r\nSubject: T\nX-Evil: 1\r\n")
    found = errors(source, "1", "$5.00")
    for error in ("Subject: 2 times", "X-Evil is not one of our headers", "a line break that is not CRLF"):
        assert error in found
    found = errors(build(good), "1", "$5.00")
    assert found == ["text shows a missing value", "html without the total $5.00"]


def raw(source: bytes, name: str) -> str:
    """Return a raw header, unfolded. The modern parser would add blanks between the encoded words of a name."""
    return str(email_package.message_from_bytes(source, policy=policy.compat32)[name]).replace("\r\n", "")


def cleaned(text: str) -> str:
    """Return a text as a header can contain it: no control characters or lone surrogates, single blanks."""
    text = re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text.encode("utf-8", "replace").decode())
    return " ".join(text.split())


def test_hostile_names_and_subjects_add_no_header_and_are_decoded_unchanged() -> None:
    rng = random.Random(2025)
    for _ in range(500):
        name, subject = ("".join(rng.choices(CHARACTERS, k=rng.randrange(1, 14))) for _ in range(2))
        source = build(Email(subject, "text\n", "<p>html</p>"), name)
        message = cast(EmailMessage, email_package.message_from_bytes(source, policy=policy.default))
        assert sorted(message.keys()) == sorted((*ONCE, "Auto-Submitted")), (name, subject)
        assert not message.defects and not message["To"].defects and not message["Subject"].defects, (name, subject)
        display_name, address = parseaddr(raw(source, "To"))
        assert address == "jo@example.com", name
        assert cleaned(str(make_header(decode_header(display_name)))) == cleaned(name), name
        assert cleaned(str(message["Subject"])) == cleaned(subject), subject
        assert source.isascii() and max(map(len, source.split(b"\r\n"))) <= 78, (name, subject)


def test_every_language_has_a_different_text(renderer: MailRenderer) -> None:
    texts = {renderer.render(replace(SAMPLES["smallest"], locale=language)).text for language in LANGUAGES}
    assert len(texts) == len(LANGUAGES)
