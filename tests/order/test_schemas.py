"""The request body: every way shops write an order, and every fault by its pointer, all at once."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from factories import make_body
from loaded_orders import ITEM, SCHEMA, customer, errors, ignored, item, load

from orderconfirm.order.schemas import OrderSchema, load_order


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
    assert errors(body) == {"": "the body must be a JSON object with one order"}


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
    detail = f"must have at most {longest} characters, but has {longest + 1}"
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


# Times


# Addresses of all kinds


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
        ("x" * 1001, "", "must have at most 1000 characters, but has 1001"),
        ({"lines": "1 Road"}, "/lines", "must be a list"),
        ({"lines": ["x"] * 11}, "/lines", "must have at most 10 entries"),
        ({"lines": ["x", 5]}, "/lines/1", "must be a string"),
        ({"postcode": "x" * 21}, "/postcode", "must have at most 20 characters, but has 21"),
    ],
)
def test_a_fault_inside_a_postal_address_has_its_own_pointer(said: Any, pointer: str, detail: str) -> None:
    assert errors(shipping_address=said) == {f"/shipping_address{pointer}": detail}


# Codes


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


@pytest.mark.parametrize(
    ("sent", "read"), [("AT&amp;T", "AT&T"), ("a &copyright; b", "a &copyright; b"), ("&#8211;", "–")]
)
def test_only_known_entities_are_read(sent: str, read: str) -> None:
    order, _ = load_order(OrderSchema(), make_body(items=[{"name": sent, "quantity": 1, "price": 1}]))
    assert order["items"][0]["name"] == read
