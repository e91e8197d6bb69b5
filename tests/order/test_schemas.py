"""The request body: every way shops write an order, and every fault by its pointer, all at once."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from factories import make_body

from orderconfirm.errors import InvalidOrder
from orderconfirm.order.schemas import DefaultCurrency, OrderSchema, load_order

SCHEMA = OrderSchema()
ITEM = {"name": "Mug", "quantity": 1, "price": "9.99"}


def load(**changes: Any) -> dict[str, Any]:
    return load_order(SCHEMA, make_body(**changes))[0]


def ignored(**changes: Any) -> list[str]:
    return load_order(SCHEMA, make_body(**changes))[1]


def errors(body: Any = None, **changes: Any) -> dict[str, str]:
    """Pointer → detail."""
    with pytest.raises(InvalidOrder) as caught:
        load_order(SCHEMA, make_body(**changes) if body is None else body)
    told = {fault.pointer: fault.detail for fault in caught.value.errors}
    assert len(told) == len(caught.value.errors), "one fault a pointer"
    return told


def customer(**changes: Any) -> dict[str, Any]:
    return {"customer": {"name": "John Doe", "email": "john@example.com", **changes}}


def item(**changes: Any) -> dict[str, Any]:
    return {"items": [{**ITEM, **changes}]}


def test_the_sample_is_taken_as_written() -> None:
    order, left_out = load_order(SCHEMA, make_body())
    assert left_out == []
    assert order["customer"] == make_body()["customer"]
    assert order["total"] == Decimal("119.97")
    assert [each["price"] for each in order["items"]] == [Decimal("79.99"), Decimal("19.99")]
    assert order["order_date"] == datetime(2025, 3, 15, 14, 30, tzinfo=UTC)
    assert order.keys() == make_body().keys()


def test_all_that_is_missing_is_told_at_once() -> None:
    assert errors({}) == dict.fromkeys(["/customer", "/items", "/order_id", "/total"], "is missing")
    body = {"order_id": "1", "total": 1, "customer": {}, "items": [{}, ITEM]}
    pointers = ["/customer/email", "/customer/name", "/items/0/name", "/items/0/price", "/items/0/quantity"]
    assert errors(body) == dict.fromkeys(pointers, "is missing")


def test_faults_of_every_depth_are_told_together() -> None:
    told = errors(
        order_id="",
        total="119.975",
        currency="EURO",
        order_date="yesterday",
        shipping_address={"lines": [5]},
        adjustments=[{"label": "Fee", "amount": "1.005"}],
        **customer(email="nobody"),
        items=[ITEM, {**ITEM, "quantity": 0, "price": "1.0000001"}],
    )
    assert list(told) == [
        "/adjustments/0/amount",
        "/currency",
        "/customer/email",
        "/items/1/price",
        "/items/1/quantity",
        "/order_date",
        "/order_id",
        "/shipping_address/lines/0",
        "/total",
    ]


@pytest.mark.parametrize("body", [[], "order", 5, True])
def test_a_body_that_is_no_object_is_one_fault_at_the_top(body: Any) -> None:
    assert errors(body) == {"": "the body must be a JSON object that holds one order"}


@pytest.mark.parametrize("name", ["order_id", "customer", "items", "total"])
def test_null_does_not_stand_for_what_is_required(name: str) -> None:
    assert errors(**{name: None}) == {f"/{name}": "must not be null"}


@pytest.mark.parametrize(
    ("changes", "pointer", "detail"),
    [
        ({"customer": "John"}, "/customer", "must be an object"),
        ({"items": {}}, "/items", "must be a list"),
        ({"items": [5]}, "/items/0", "must be an object"),
        ({"adjustments": "fee"}, "/adjustments", "must be a list"),
        ({"tax_included": "true"}, "/tax_included", "must be true or false"),
        ({"tax_included": 1}, "/tax_included", "must be true or false"),
        ({"notes": ["x"]}, "/notes", "must be a string"),
        ({"order_date": 1742049000}, "/order_date", "must be an ISO 8601 time like 2025-03-15T14:30:00Z"),
        ({"currency": 5}, "/currency", "must be a string"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_what_it_must_be(changes: dict[str, Any], pointer: str, detail: str) -> None:
    assert errors(**changes) == {pointer: detail}


# Text


@pytest.mark.parametrize("number", [17, 0, 12345678901234567890])
def test_ids_and_other_codes_may_be_numbers(number: int) -> None:
    order = load(order_id=number, **customer(phone=number), **item(product_id=number, sku=number))
    assert order["order_id"] == order["customer"]["phone"] == str(number)
    assert order["items"][0]["product_id"] == order["items"][0]["sku"] == str(number)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [({"order_id": True}, "/order_id"), (customer(name=5), "/customer/name"), (item(name=5), "/items/0/name")],
)
def test_a_boolean_is_no_id_and_a_number_no_name(changes: dict[str, Any], pointer: str) -> None:
    assert errors(**changes) == {pointer: "must be a string"}


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("AT&amp;T", "AT&T"),
        ("Fish &#8211; &#x2013; Chips", "Fish – – Chips"),
        ("&lt;b&gt; &quot;x&quot;", '<b> "x"'),
        ("&amp;amp;", "&amp;"),
        ("a&copy=2", "a&copy=2"),
        ("R&D; Q & A;", "R&D; Q & A;"),
        ("&#13;&#10;Bcc: x", "Bcc: x"),
    ],
)
def test_entities_in_names_are_read_once_and_only_when_closed(said: str, read: str) -> None:
    order = load(shipping_method=said, adjustments=[{"label": said, "amount": 1}], **item(name=said))
    assert order["items"][0]["name"] == order["shipping_method"] == order["adjustments"][0]["label"] == read


def test_entities_in_a_person_s_name_stay_as_typed() -> None:
    assert load(**customer(name="AT&amp;T"))["customer"]["name"] == "AT&amp;T"


@pytest.mark.parametrize("control", ["\t", "\r", "\n", "\x1f", "\x7f", "\x85", "\u2028", "\u2029", "\ud800"])
def test_control_characters_become_blanks_but_are_a_fault_in_what_must_be_exact(control: str) -> None:
    assert load(**customer(name=f"John{control}Doe"))["customer"]["name"] == "John Doe"
    detail = "must not contain control characters or line breaks"
    assert errors(order_id=f"A{control}1") == {"/order_id": detail}
    assert errors(**customer(email=f"a{control}@example.com")) == {"/customer/email": detail}
    assert errors(order_url=f"https://shop.example/{control}") == {"/order_url": detail}


def test_notes_keep_their_line_breaks_and_nothing_else() -> None:
    assert load(notes=" a\r\nb\tc\x01d\n")["notes"] == "a\nb c d"


def test_a_nul_is_a_fault_wherever_it_stands() -> None:
    detail = "must not contain NUL (\\u0000)"
    assert errors(notes="a\0b", order_id="A\0", **customer(name="\0", email="a\0@example.com")) == {
        pointer: detail for pointer in ("/notes", "/order_id", "/customer/name", "/customer/email")
    }


@pytest.mark.parametrize("nothing", ["", "  ", "-", " - ", "\n", None])
def test_what_says_nothing_is_absent_where_it_may_be_and_a_fault_where_not(nothing: str | None) -> None:
    names = ["shipping_method", "estimated_delivery", "notes", "locale", "timezone", "currency", "shipping_address"]
    assert not load(**dict.fromkeys(names, nothing)).keys() & set(names)
    if nothing is not None:
        assert errors(**customer(name=nothing)) == {"/customer/name": "must not be empty"}


INVISIBLE = ["\u200b", "\u200b\u200d \ufeff", "\u3164", "\u2800\u00ad", "\ufe0f"]


@pytest.mark.parametrize("nothing", INVISIBLE)
def test_a_text_without_a_visible_character_is_absent_or_an_error(nothing: str) -> None:
    detail = "must not consist of invisible characters"
    assert errors(**customer(name=nothing)) == {"/customer/name": detail}
    assert "notes" not in load(notes=nothing)
    assert load(**customer(name=f"{nothing}Zoë"))["customer"]["name"].endswith("Zoë")


@pytest.mark.parametrize(
    ("name", "longest"),
    [("order_id", 128), ("number", 128), ("notes", 2000), ("shipping_method", 200), ("payment_method", 200)],
)
def test_a_text_may_be_as_long_as_its_limit_and_no_longer(name: str, longest: int) -> None:
    assert load(**{name: "x" * longest})[name] == "x" * longest
    detail = f"must have at most {longest} characters, has {longest + 1}"
    assert errors(**{name: "x" * (longest + 1)}) == {f"/{name}": detail}


def test_five_hundred_items_are_taken_and_one_more_is_not() -> None:
    assert len(load(items=[ITEM] * 500)["items"]) == 500
    for items in ([], [ITEM] * 501):
        assert errors(items=items) == {"/items": "must have 1 to 500 entries"}


def test_fifty_adjustments_are_taken_and_one_more_is_not() -> None:
    fee = {"label": "Fee", "amount": "1.00"}
    assert len(load(adjustments=[fee] * 50)["adjustments"]) == 50
    assert errors(adjustments=[fee] * 51) == {"/adjustments": "must have at most 50 entries"}


# Numbers


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (119.97000000000001, "119.97"),
        (Decimal("119.96999999999999"), "119.97"),
        ("119.97", "119.97"),
        (" +119.9 ", "119.90"),
        (120, "120.00"),
        (0, "0.00"),
        (Decimal("1.2E+2"), "120.00"),
        (999999999999, "999999999999.00"),
    ],
)
def test_an_amount_is_read_exactly_but_for_float_noise(said: Any, read: str) -> None:
    assert str(load(total=said)["total"]) == read


NO_NUMBER = 'must be a number, or a string like "79.90" with a dot and no thousands separator'


@pytest.mark.parametrize(
    "said",
    [
        True,
        False,
        "",
        "79,90",
        "1,000.00",
        "1e5",
        "٣",
        "１２",
        "$5",
        "NaN",
        "1" * 30,
        [],
        {},
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
    ],
)
@pytest.mark.parametrize("place", ["total", "quantity", "price"])
def test_what_is_no_number_is_never_taken_for_one(said: Any, place: str) -> None:
    if place == "total":
        assert errors(total=said) == {"/total": NO_NUMBER}
    else:
        assert errors(**item(**{place: said})) == {f"/items/0/{place}": NO_NUMBER}


@pytest.mark.parametrize("huge", [Decimal("1e400"), Decimal("1e999999"), 10**12, 10**400, 1e300, "1" * 20])
def test_a_huge_number_is_a_fault_and_costs_nothing(huge: Any) -> None:
    told = errors(total=huge, discount=huge, **item(quantity=huge, price=huge, line_total=huge))
    pointers = ["/discount", "/items/0/line_total", "/items/0/price", "/items/0/quantity", "/total"]
    assert told == dict.fromkeys(pointers, "is too large")


@pytest.mark.parametrize("tiny", [Decimal("1e-400"), Decimal("0e-400"), Decimal("1." + "0" * 101)])
def test_a_number_of_hundreds_of_decimals_is_a_fault(tiny: Decimal) -> None:
    assert errors(total=tiny) == {"/total": "must have at most 100 decimals"}


@pytest.mark.parametrize(
    ("currency", "good", "bad"),
    [("USD", "1.23", "1.234"), ("JPY", "123", "123.5"), ("KWD", "1.234", "1.2345"), ("xyz", "1.23", "1.234")],
)
def test_amounts_have_the_decimals_of_their_currency(currency: str, good: str, bad: str) -> None:
    names = ["total", "subtotal", "discount", "shipping_cost", "tax"]
    order = load(currency=currency, **dict.fromkeys(names, good), **item(line_total=good))
    assert [str(order[name]) for name in names] == [good] * 5
    told = errors(
        currency=currency,
        adjustments=[{"label": "Fee", "amount": bad}],
        **dict.fromkeys(names, bad),
        **item(line_total=bad),
    )
    assert told.keys() == {*(f"/{name}" for name in names), "/items/0/line_total", "/adjustments/0/amount"}
    assert set(told.values()) == {
        f"{bad} has more decimals than {currency.upper()} allows ({len(good.partition('.')[2])}): "
        "send the rounded amount that was charged"
    }


def test_an_order_without_a_currency_is_read_in_the_default_one() -> None:
    body = make_body(total="1.234")
    with DefaultCurrency("KWD"):
        assert load_order(OrderSchema(), body)[0]["total"] == Decimal("1.234")
    assert errors(body).keys() == {"/total"}


@pytest.mark.parametrize(
    ("said", "read"),
    [("17.647059", "17.647059"), (17.647058823529413, "17.647059"), (79.9, "79.9"), ("79.90", "79.9"), (0, "0")],
)
def test_a_unit_price_may_have_six_decimals_or_be_a_whole_double(said: Any, read: str) -> None:
    assert str(load(**item(price=said))["items"][0]["price"]) == read


def test_a_unit_price_of_seven_decimals_asks_for_the_line_total() -> None:
    detail = "17.6470588 has more than 6 decimals: send a rounded unit price and the line_total"
    assert errors(**item(price="17.6470588")) == {"/items/0/price": detail}


def test_a_negative_price_is_told_where_coupons_and_refunds_go() -> None:
    detail = "must not be negative: send a coupon as `discount`, a gift card or refund in `adjustments`"
    assert errors(**item(price=-5)) == {"/items/0/price": detail}


@pytest.mark.parametrize("name", ["total", "subtotal", "shipping_cost", "tax"])
def test_other_amounts_must_not_be_negative_either(name: str) -> None:
    assert errors(**{name: "-0.01"}) == {f"/{name}": "must not be negative"}


@pytest.mark.parametrize("said", [5, -5, "-5.00", 5.0])
def test_a_discount_is_what_comes_off_with_or_without_its_sign(said: Any) -> None:
    assert load(discount=said)["discount"] == Decimal("5.00")


def test_an_adjustment_keeps_its_sign() -> None:
    order = load(adjustments=[{"label": "Gift card", "amount": -20}, {"label": "Tip", "amount": "1.5"}])
    assert [str(each["amount"]) for each in order["adjustments"]] == ["-20.00", "1.50"]


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        (0, "must be above 0"),
        ("0.000", "must be above 0"),
        (-1, "must not be negative"),
        ("0.0001", "must have at most 3 decimals"),
    ],
)
def test_a_quantity_is_above_nothing_and_at_most_in_thousandths(said: Any, detail: str) -> None:
    assert errors(**item(quantity=said)) == {"/items/0/quantity": detail}


@pytest.mark.parametrize(
    ("said", "read"), [("1.0000", "1"), (1.5, "1.5"), ("0.125", "0.125"), (Decimal("1E+2"), "100")]
)
def test_a_quantity_is_stored_in_its_shortest_form(said: Any, read: str) -> None:
    assert str(load(**item(quantity=said))["items"][0]["quantity"]) == read


# Times


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


# Addresses of all kinds


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
def test_what_is_no_plain_mail_address_is_told_why(said: str) -> None:
    assert errors(**customer(email=said))["/customer/email"].startswith("is not a mail address: ")


def test_a_local_part_that_needs_smtputf8_is_refused_early() -> None:
    assert "SMTPUTF8" in errors(**customer(email="jürgen@example.com"))["/customer/email"]


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("1 Road\r\n\n Town ", {"lines": ["1 Road", "Town"]}),
        ({"lines": ["1 Road", "", None, "-"], "city": "X"}, {"lines": ["1 Road"], "city": "X"}),
        ({"city": "X", "postcode": 1010}, {"lines": [], "city": "X", "postcode": "1010"}),
        ({"lines": ["a\nb"], "country": ""}, {"lines": ["a b"]}),
    ],
)
@pytest.mark.parametrize("name", ["billing_address", "shipping_address"])
def test_a_postal_address_is_text_or_an_object(name: str, said: Any, read: dict[str, Any]) -> None:
    assert load(**{name: said})[name] == read


@pytest.mark.parametrize("blank", ["", " \n ", "-", {}, {"lines": []}, {"lines": ["", None]}, {"city": ""}, None])
def test_a_blank_postal_address_is_absent(blank: Any) -> None:
    assert "shipping_address" not in load(shipping_address=blank)


@pytest.mark.parametrize(
    ("said", "pointer", "detail"),
    [
        (5, "", "must be a string, or an object of lines, city, region, postcode and country"),
        (["1 Road"], "", "must be a string, or an object of lines, city, region, postcode and country"),
        ("x" * 1001, "", "must have at most 1000 characters, has 1001"),
        ({"lines": "1 Road"}, "/lines", "must be a list"),
        ({"lines": ["x"] * 11}, "/lines", "must have at most 10 entries"),
        ({"lines": ["x", 5]}, "/lines/1", "must be a string"),
        ({"postcode": "x" * 21}, "/postcode", "must have at most 20 characters, has 21"),
    ],
)
def test_a_fault_inside_a_postal_address_has_its_own_pointer(said: Any, pointer: str, detail: str) -> None:
    assert errors(shipping_address=said) == {f"/shipping_address{pointer}": detail}


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


# Codes


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


# What is left out


def test_ignored_fields_are_named_by_escaped_pointer() -> None:
    told = ignored(
        vip=1,
        shipping_address={"lines": ["x"], "street": "y"},
        adjustments=[{"label": "Fee", "amount": 1, "id": 1}],
        items=[ITEM, {**ITEM, "tax": 1}],
        **customer(**{"a/b": {"c": 1}, "m~n": 1}),
    )
    assert sorted(told) == [
        "/adjustments/0/id",
        "/customer/a~1b",
        "/customer/m~0n",
        "/items/1/tax",
        "/shipping_address/street",
        "/vip",
    ]


def test_an_answer_names_at_most_a_hundred_ignored_fields() -> None:
    assert len(ignored(**{f"x{each}": 1 for each in range(150)})) == 100


def test_minus_zero_is_zero_and_an_empty_list_is_absent() -> None:
    body = make_body(total="-0.00", items=[{"name": "A", "quantity": 1, "price": 0}], adjustments=[])
    order, _ = load_order(OrderSchema(), body)
    assert str(order["total"]) == "0.00"
    assert "adjustments" not in order


@pytest.mark.parametrize(("sent", "kept"), [(1000, "1000"), (Decimal("1E+3"), "1000")])
def test_a_numeric_id_is_written_out(sent: int | Decimal, kept: str) -> None:
    order, _ = load_order(OrderSchema(), make_body(order_id=sent))
    assert order["order_id"] == kept


@pytest.mark.parametrize("url", ["https://x.example:99999/", "https://x.example:abc/"])
def test_a_url_has_a_real_port(url: str) -> None:
    with pytest.raises(InvalidOrder) as caught:
        load_order(OrderSchema(), make_body(order_url=url))
    assert [fault.pointer for fault in caught.value.errors] == ["/order_url"]


@pytest.mark.parametrize(
    ("sent", "read"), [("AT&amp;T", "AT&T"), ("a &copyright; b", "a &copyright; b"), ("&#8211;", "–")]
)
def test_only_known_entities_are_read(sent: str, read: str) -> None:
    order, _ = load_order(OrderSchema(), make_body(items=[{"name": sent, "quantity": 1, "price": 1}]))
    assert order["items"][0]["name"] == read
