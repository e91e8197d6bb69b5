"""Times, addresses and codes of an order: how they are read, and what is refused."""

from __future__ import annotations

import pytest
from factories import make_body
from loaded_orders import customer, errors, item, load

from orderconfirm.errors import InvalidOrder
from orderconfirm.order.schemas import OrderSchema, load_order


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("2025-03-15T14:30:00Z", "2025-03-15T14:30:00+00:00"),
        ("2025-03-15t14:30:00z", "2025-03-15T14:30:00+00:00"),
        ("2025-03-15T14:30:00.123Z", "2025-03-15T14:30:00.123000+00:00"),
        ("2025-03-15T14:30:00.123456789Z", "2025-03-15T14:30:00.123456+00:00"),
        ("2025-03-15T14:30:00+01:00", "2025-03-15T14:30:00+01:00"),
        ("2025-03-15T14:30:00+0100", "2025-03-15T14:30:00+01:00"),
        ("2025-03-15T14:30:00-08", "2025-03-15T14:30:00-08:00"),
        ("2025-03-15 14:30:00 +0100", "2025-03-15T14:30:00+01:00"),
        ("2025-03-15 14:30:00", "2025-03-15T14:30:00+00:00"),
        ("2025-03-15T14:30", "2025-03-15T14:30:00+00:00"),
        ("20250315T143000Z", "2025-03-15T14:30:00+00:00"),
        ("2025-W11-6", "2025-03-15T00:00:00+00:00"),
        (" 2025-03-15 ", "2025-03-15T00:00:00+00:00"),
        (" " * 500 + "2025-03-15", "2025-03-15T00:00:00+00:00"),
        ("2025-03-15 14:30:00" + " " * 70 + "+01:00", "2025-03-15T14:30:00+01:00"),
    ],
)
def test_a_time_in_any_iso_form_is_read_and_without_a_zone_is_utc(said: str, read: str) -> None:
    order = load(order_date=said, estimated_delivery=said, send_before=said)
    for name in ("order_date", "estimated_delivery", "send_before"):
        assert order[name].isoformat() == read


@pytest.mark.parametrize(
    "said",
    [
        "15.03.2025",
        "03/15/2025",
        "0000-00-00",
        "2025-02-29",
        "2025-03-15T14:30:00+25:00",
        "tomorrow",
        "1742049000",
        "2025-03-15" + " " * 90 + "x",
    ],
)
def test_a_time_in_another_form_is_never_guessed(said: str) -> None:
    assert errors(order_date=said) == {"/order_date": "must be an ISO 8601 time like 2025-03-15T14:30:00Z"}


@pytest.mark.parametrize("said", ["0001-01-01", "1969-12-31T23:59:59Z", "3000-01-01", "9999-12-31T23:59:59-12:00"])
def test_a_year_that_no_order_has_is_a_fault(said: str) -> None:
    assert errors(order_date=said) == {"/order_date": "must be a year from 1970 to 2999"}


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("john@example.com", "john@example.com"),
        (" John+tag@EXAMPLE.com ", "John+tag@example.com"),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
        ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
        ("a@例え.jp", "a@xn--r8jz45g.jp"),
        ("a@shop.test", "a@shop.test"),
    ],
)
def test_a_mail_address_is_brought_into_ascii(said: str, read: str) -> None:
    assert load(**customer(email=said))["customer"]["email"] == read


@pytest.mark.parametrize(
    "said",
    [
        "nobody",
        "a@localhost",
        "a@b@example.com",
        "a b@example.com",
        "a@example.com,b@example.com",
        "John <a@example.com>",
        '"a b"@example.com',
        "a@[127.0.0.1]",
        "a@example.invalid",
        ".a@example.com",
    ],
)
def test_what_is_no_plain_mail_address_gets_the_reason(said: str) -> None:
    assert errors(**customer(email=said))["/customer/email"].startswith("is not an email address: ")


def test_a_local_part_that_needs_smtputf8_is_refused_early() -> None:
    assert "SMTPUTF8" in errors(**customer(email="jürgen@example.com"))["/customer/email"]


@pytest.mark.parametrize("url", ["https://shop.example/a?b=c#d", "http://localhost:8000", "HTTPS://SHOP.EXAMPLE/ü"])
def test_an_absolute_web_address_is_kept_as_written(url: str) -> None:
    order = load(order_url=url, **item(url=url, image_url=url))
    assert order["order_url"] == order["items"][0]["url"] == order["items"][0]["image_url"] == url


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://shop.example/",
        "//shop.example/",
        "/orders/1",
        "shop.example",
        "https:shop.example",
        "https://",
        "https://[::1",
        "https://shop.example/a b",
        'https://shop.example/"onload="',
        "https://shop.example/<b>",
    ],
)
def test_any_other_address_is_a_fault(url: str) -> None:
    told = errors(order_url=url, **item(url=url, image_url=url))
    assert told.keys() == {"/order_url", "/items/0/url", "/items/0/image_url"}
    assert set(told.values()) == {"must be an absolute URL that starts with https:// or http://"}


@pytest.mark.parametrize(("said", "read"), [("EUR", "EUR"), (" eur ", "EUR"), ("XXX", "XXX")])
def test_a_currency_is_three_letters_of_any_case(said: str, read: str) -> None:
    assert load(currency=said)["currency"] == read


@pytest.mark.parametrize("said", ["EURO", "€", "E1R", "US"])
def test_another_currency_is_a_fault(said: str) -> None:
    assert errors(currency=said) == {"/currency": "must be three letters like USD"}


@pytest.mark.parametrize("said", ["en", "de-AT", "pt_BR", "zh_Hant_TW", "xx"])
def test_a_language_need_not_be_known(said: str) -> None:
    assert load(locale=said)["locale"] == said


@pytest.mark.parametrize("said", ["english language", "en-", "1", "../en"])
def test_a_language_must_look_like_one(said: str) -> None:
    assert errors(locale=said) == {"/locale": "must be a language tag like en, de-AT or pt_BR"}


@pytest.mark.parametrize("said", ["Europe/Berlin", "UTC"])
def test_a_time_zone_of_the_iana_database_is_taken(said: str) -> None:
    assert load(timezone=said)["timezone"] == said


@pytest.mark.parametrize("said", ["Europe", "Mars/Base", "../../etc/passwd", "/etc/passwd"])
def test_a_time_zone_is_no_path(said: str) -> None:
    assert errors(timezone=said) == {"/timezone": "must be an IANA time zone like Europe/Berlin"}


@pytest.mark.parametrize("url", ["https://x.example:99999/", "https://x.example:abc/"])
def test_a_url_has_a_real_port(url: str) -> None:
    with pytest.raises(InvalidOrder) as caught:
        load_order(OrderSchema(), make_body(order_url=url))
    assert [fault.pointer for fault in caught.value.errors] == ["/order_url"]
