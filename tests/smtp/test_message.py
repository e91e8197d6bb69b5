"""The message in wire format, parsed by the standard library."""

from __future__ import annotations

import json
import random
import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any

import pytest

from orderconfirm.models import Email
from orderconfirm.smtp.message import OrderMessage, custom_variables

HEADERS = ["From", "To", "Reply-To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
DATE = datetime(2025, 3, 15, 14, 30, tzinfo=UTC)
MESSAGE_ID = "<0123456789abcdef@shop.example>"


def make_message(subject: str = "Confirmed", text: str = "text\n", html: str = "<p>html</p>\n", **more: Any) -> bytes:
    parts = {
        "sender": ("Our Shop", "orders@shop.example"),
        "recipient": ("John Doe", "john.doe@example.com"),
        "reply_to": "help@shop.example",
        "message_id": MESSAGE_ID,
        "date": DATE,
        "headers": {"Auto-Submitted": "auto-generated"},
    }
    return OrderMessage(Email(subject, text, html), **{**parts, **more}).as_bytes()


def parse(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def defects_of(message: EmailMessage) -> list[Any]:
    found = [defect for part in message.walk() for defect in part.defects]
    return found + [defect for value in message.values() for defect in value.defects]  # type: ignore[attr-defined]


def wire_errors(raw: bytes) -> list[bytes]:
    """Return the lines that are not ASCII, too long, or contain a line break other than CRLF."""
    assert raw.endswith(b"\r\n")
    return [
        line
        for line in raw[:-2].split(b"\r\n")
        if len(line) > 78 or not line.isascii() or set(line) & {0x00, 0x0A, 0x0D, 0x7F}
    ]


def content(part: Any) -> str:
    return str(part.get_content()).replace("\r\n", "\n")


def name_in(raw: bytes, header: str) -> str:
    """Return the name in a header's only mailbox. Python 3.11's `policy.default` keeps blanks between encoded words."""
    name, _ = parseaddr(message_from_bytes(raw)[header])
    return str(make_header(decode_header(name)))


def one_blank(text: str) -> str:
    """Blanks between the words of a name count as one (RFC 5322, 3.2.5)."""
    return re.sub(" +", " ", text)


def cleaned(text: str) -> str:
    return re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text).strip()


@pytest.mark.parametrize(
    "name",
    [
        "John Doe",
        "Doe, John",
        'John "Johnny" Doe',
        "back\\slash",
        'all, of "them" \\ at once',
        "O'Brien-Smith Jr.",
        "a@b <c@d>; (e) [f]:",
        "😀 Emoji 👩‍👩‍👧‍👦",
        "محمد بن عبد الله",
        "山田 太郎",
        "Łukasz Żółć",
        "=?utf-8?q?not_a_word?=",
        "a" * 61,
        "long, quoted " * 10 + "end",
        "ü" * 200,
    ],
)
def test_a_name_is_decoded_unchanged(name: str) -> None:
    raw = make_message(sender=(name, "orders@shop.example"), recipient=(name, "john.doe@example.com"))
    message = parse(raw)
    assert wire_errors(raw) == [] and defects_of(message) == []
    for header, address in (("From", "orders@shop.example"), ("To", "john.doe@example.com")):
        assert [each.addr_spec for each in message[header].addresses] == [address]
        assert name_in(raw, header) == name


@pytest.mark.parametrize("name", ["", "   ", "\r\n\x00"])
def test_an_empty_name_leaves_the_bare_address(name: str) -> None:
    assert make_message(recipient=(name, "john.doe@example.com")).splitlines()[1] == b"To: john.doe@example.com"


@pytest.mark.parametrize(
    "subject",
    [
        "Order ORD-12345 confirmed",
        "=?utf-8?b?SGk=?=",
        "x" * 69,
        "x" * 70,
        "words and " * 30 + "end",
        "注文" * 60,
        "طلبك رقم 5",
        "😀" * 60,
        "two  blanks",
    ],
)
def test_a_subject_is_decoded_unchanged(subject: str) -> None:
    raw = make_message(subject)
    message = parse(raw)
    assert wire_errors(raw) == [] and defects_of(message) == []
    assert message["Subject"] == subject


def test_a_plain_subject_is_readable_on_the_wire_up_to_78_characters() -> None:
    assert b"\r\nSubject: " + b"x" * 69 + b"\r\n" in make_message("x" * 69)


def test_an_encoded_character_is_never_split() -> None:
    words = re.findall(rb"=\?utf-8\?b\?[^?]+\?=", make_message("😀注é" * 40))
    decoded = [str(parse(b"Subject: " + word + b"\r\n\r\n")["Subject"]) for word in words]
    assert len(words) > 5 and "\ufffd" not in "".join(decoded)
    assert max(map(len, words)) <= 75


def hostile_texts(seed: int) -> list[str]:
    pieces = [
        *("\r", "\n", "\r\n", "\r\nBcc: evil@example.com", "\n\n<b>body</b>", "\x00", "\x1b", "\x7f", "\x85", "\u2028"),
        *('"', "\\", "'", ",", ";", ":", "<", ">", "(", ")", "@", "[", "]", ".", "%0d%0a", "=?utf-8?q?=0aBcc:x?="),
        *(
            "=?",
            "?=",
            "=?x?b?",
            "😀",
            "👩‍👧",
            "é",
            "e\u0301",
            "مرحبا",
            "注文",
            "\u202e",
            "\u00a0",
            " ",
            "word",
            "Doe",
            "x" * 40,
        ),
    ]
    rng = random.Random(seed)
    return ["x" + "".join(rng.choices(pieces, k=rng.randint(1, 12))) for _ in range(200)]


@pytest.mark.parametrize("place", ["subject", "sender", "recipient"])
def test_hostile_text_adds_no_header_and_loses_its_control_characters(place: str) -> None:
    for text in hostile_texts(seed=20250315):
        address = {"sender": "orders@shop.example", "recipient": "john.doe@example.com"}.get(place)
        raw = make_message(**{place: (text, address) if address else text})
        message = parse(raw)
        assert message.keys() == HEADERS, text
        assert wire_errors(raw) == [] and defects_of(message) == [], text
        if place == "subject":
            assert message["Subject"] == cleaned(text)
        else:
            header = "From" if place == "sender" else "To"
            assert [each.addr_spec for each in message[header].addresses] == [address]
            assert one_blank(name_in(raw, header)) == one_blank(cleaned(text))


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    message = parse(make_message("a\ud800b", text="c\udfffd\n"))
    assert message["Subject"] == "a?b"
    assert content(message.get_body(("plain",))) == "c?d\n"


def test_the_headers_are_complete() -> None:
    message = parse(make_message(headers={"Auto-Submitted": "auto-generated", "X-MT-Category": "order-confirmation"}))
    assert message["From"] == "Our Shop <orders@shop.example>"
    assert message["To"] == "John Doe <john.doe@example.com>"
    assert message["Reply-To"] == "help@shop.example"
    assert message["Date"].datetime == DATE
    assert message["Message-ID"] == MESSAGE_ID
    assert message["X-MT-Category"] == "order-confirmation"


def test_the_text_part_comes_first_and_the_html_part_last() -> None:
    message = parse(make_message(text="as text\n", html="<p>as html</p>\n"))
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert [content(part) for part in message.iter_parts()] == ["as text\n", "<p>as html</p>\n"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "one line",
        ".\n..\n.hidden\n",
        "x" * 5000 + "\n",
        "é" * 5000 + "\n",
        "注" * 5000 + "\n",
        "From here\n-- \nblank at end \ntab\t\n",
        "a=b=3D =\n",
        "--=_boundary--\n",
        "one\n\n\n\ntwo\n",
        "😀 and مرحبا\n",
        "nul \x00 and escape \x1b\n",
    ],
)
def test_a_body_is_decoded_unchanged(body: str) -> None:
    raw = make_message(text=body, html=body)
    message = parse(raw)
    assert wire_errors(raw) == [] and defects_of(message) == []
    assert [content(part) for part in message.iter_parts()] == [body.rstrip("\n") + "\n"] * 2


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_every_line_ending_becomes_crlf(ending: str) -> None:
    raw = make_message(text=ending.join(["one", "two", ""]))
    assert b"\r\n\r\none\r\ntwo\r\n\r\n--" in raw
    assert wire_errors(raw) == []


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain ASCII\n", "quoted-printable"),
        ("Grüße aus Köln\n", "quoted-printable"),
        ("ご注文ありがとうございます\n" * 20, "base64"),
        ("شكرا لطلبك\n" * 20, "base64"),
    ],
)
def test_a_part_is_base64_only_where_most_of_it_is_not_ascii(text: str, encoding: str) -> None:
    part = parse(make_message(text=text)).get_body(("plain",))
    assert part["Content-Transfer-Encoding"] == encoding
    assert content(part) == text


def test_each_message_has_a_different_boundary_and_the_same_id() -> None:
    one, other = parse(make_message()), parse(make_message())
    assert one.get_boundary() != other.get_boundary()
    assert one["Message-ID"] == other["Message-ID"]


def test_custom_variables_are_ascii_json() -> None:
    assert custom_variables({"order_id": "Ö-1", "shop": "main"}) == '{"order_id": "\\u00d6-1", "shop": "main"}'


@pytest.mark.parametrize(
    "values",
    [
        {"order_id": "ORD-12345", "shop": "main"},
        {"order_id": "O" * 30, "shop": "s" * 50},
        {"order_id": "a\r\nBcc: x@example.com", "shop": 'quote " and \\'},
    ],
)
def test_custom_variables_are_decoded_unchanged_from_one_header(values: dict[str, str]) -> None:
    raw = make_message(headers={"X-MT-Custom-Variables": custom_variables(values)})
    message = parse(raw)
    assert wire_errors(raw) == [] and "Bcc" not in message
    assert json.loads(message["X-MT-Custom-Variables"]) == values


def test_flask_mail_accepts_the_message() -> None:
    message = OrderMessage(
        Email("a\r\nb", "text", "html"),
        sender=("Shop", "orders@shop.example"),
        recipient=("John", "john@example.com"),
        reply_to="help@shop.example",
        message_id=MESSAGE_ID,
        date=DATE,
        headers={},
    )
    assert message.has_bad_headers() is False
    assert message.send_to == {"john@example.com"}
    assert parse(message.as_bytes())["Subject"] == "a b"


@pytest.mark.parametrize("order_id", ["ORD-1", "O" * 60, "O" * 73, "O" * 128, "😀" * 128])
def test_custom_variables_are_json_in_short_lines(order_id: str) -> None:
    value = custom_variables({"order_id": order_id, "shop": "main"})
    lines = f"X-MT-Custom-Variables: {value}".split("\r\n")
    assert max(map(len, lines)) <= 78
    variables = json.loads(value)
    assert variables["shop"] == "main"
    assert variables.get("order_id", order_id) == order_id
    assert ("order_id" in variables) is (len(json.dumps(order_id)) <= 75)
