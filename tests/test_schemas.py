"""The request body: every usual form is read, every fault is told, by its place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from factories import make_body

from orderconfirm.errors import InvalidOrder
from orderconfirm.web.schemas import OrderSchema, load_order

SCHEMA = OrderSchema("USD")
ITEM = {"name": "Case", "quantity": 1, "price": Decimal("19.99")}
CUSTOMER = {"name": "John Doe", "email": "john.doe@example.com"}


def load(**changes: Any) -> dict[str, Any]:
    return load_order(SCHEMA, make_body(**changes))[0]


def ignored(**changes: Any) -> list[str]:
    return load_order(SCHEMA, make_body(**changes))[1]


def faults_of(body: Any) -> dict[str, str]:
    with pytest.raises(InvalidOrder) as caught:
        load_order(SCHEMA, body)
    return {fault.pointer: fault.detail for fault in caught.value.faults}


def faults(**changes: Any) -> dict[str, str]:
    return faults_of(make_body(**changes))


def load_item(**changes: Any) -> Any:
    return load(items=[{**ITEM, **changes}])["items"][0]


def load_email(email: str) -> Any:
    return load(customer={**CUSTOMER, "email": email})["customer"]["email"]


def test_the_example_order_is_valid_and_nothing_in_it_is_ignored() -> None:
    order, left_out = load_order(SCHEMA, make_body())
    assert left_out == []
    assert (order["order_id"], order["total"]) == ("ORD-12345", Decimal("119.97"))
    assert order["order_date"] == datetime(2025, 3, 15, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize("body", [None, [], "order", 7, [make_body()]])
def test_a_body_that_is_no_object_is_one_fault_at_the_root(body: Any) -> None:
    assert list(faults_of(body)) == [""]


@pytest.mark.parametrize("name", ["order_id", "customer", "items", "total"])
def test_a_required_field_is_told_when_missing_and_when_null(name: str) -> None:
    body = make_body()
    del body[name]
    assert faults_of(body) == {f"/{name}": "is missing"}
    assert faults(**{name: None}) == {f"/{name}": "must not be null"}


@pytest.mark.parametrize("name", ["order_date", "shipping_method", "estimated_delivery"])
@pytest.mark.parametrize("nothing", [None, "", "  ", "-"])
def test_an_optional_field_may_be_empty_and_counts_as_absent(name: str, nothing: str | None) -> None:
    assert name not in load(**{name: nothing})


def test_all_faults_are_told_at_once_each_by_its_pointer() -> None:
    told = faults(
        order_id="",
        customer={"name": 5, "email": "nobody"},
        items=[ITEM, {"quantity": 0, "price": "1,50"}],
        total=-1,
        order_date="yesterday",
        currency="DOLLAR",
        adjustments=[{"label": "Tip"}],
        shipping_address={"lines": [1]},
    )
    assert list(told) == sorted(told)
    assert set(told) == {
        "/order_id",
        "/customer/name",
        "/customer/email",
        "/items/1/name",
        "/items/1/quantity",
        "/items/1/price",
        "/total",
        "/order_date",
        "/currency",
        "/adjustments/0/amount",
        "/shipping_address/lines/0",
    }


def test_too_many_decimals_are_told_together_with_other_faults() -> None:
    assert set(faults(total=Decimal("19.999"), order_id=None)) == {"/total", "/order_id"}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"customer": "John"}, "/customer"),
        ({"items": "none"}, "/items"),
        ({"items": ["Case"]}, "/items/0"),
        ({"adjustments": {}}, "/adjustments"),
        ({"adjustments": [7]}, "/adjustments/0"),
        ({"billing_address": 7}, "/billing_address"),
        ({"tax_included": "true"}, "/tax_included"),
        ({"tax_included": 1}, "/tax_included"),
    ],
)
def test_a_part_of_the_wrong_type_is_a_fault_at_its_place(changes: dict[str, Any], pointer: str) -> None:
    assert list(faults(**changes)) == [pointer]


def test_ids_may_be_numbers() -> None:
    assert load(order_id=12345)["order_id"] == "12345"
    assert load_item(product_id=7, sku=100200300400500600700)["sku"] == "100200300400500600700"


@pytest.mark.parametrize("wrong", [True, ["A"], {"id": 1}])
def test_an_id_is_text_or_a_number_nothing_else(wrong: Any) -> None:
    assert faults(order_id=wrong) == {"/order_id": "must be a string"}


@pytest.mark.parametrize("control", ["\r\n", "\n", "\x00", "\x7f", "\x85", "\u2028", "\ud800"])
def test_an_id_with_a_control_character_is_refused(control: str) -> None:
    assert list(faults(order_id=f"A{control}B")) == ["/order_id"]


@pytest.mark.parametrize("control", ["\r\n", "\n", "\x00", "\x7f", "\x85", "\u2028", "\ud800"])
def test_a_control_character_in_a_name_becomes_a_space(control: str) -> None:
    assert load_item(name=f"A{control}B")["name"] == "A B"


def test_line_breaks_stay_where_text_has_lines() -> None:
    assert load(notes="one\r\ntwo\x07")["notes"] == "one\ntwo"


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("AT&amp;T", "AT&T"),
        ("24&#8243; screen", "24″ screen"),
        ("caf&#xE9;", "café"),
        ("a&copy=2", "a&copy=2"),
        ("&amp;lt;b&amp;gt;", "&lt;b&gt;"),
        ("R&D;", "R&D;"),
        ("A&#10;B", "A B"),
    ],
)
def test_closed_html_entities_are_read_once_in_item_names(sent: str, read: str) -> None:
    assert load_item(name=sent)["name"] == read


def test_entities_stay_as_they_are_in_a_customer_s_name() -> None:
    assert load(customer={**CUSTOMER, "name": "A &amp; B"})["customer"]["name"] == "A &amp; B"


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("2025-03-15T14:30:00Z", 0),
        ("2025-03-15t14:30:00z", 0),
        ("2025-03-15 14:30:00", 0),
        ("2025-03-15T14:30", 0),
        ("2025-03-15T14:30:00.000000", 0),
        ("2025-03-15T14:30:00-08:00", -8),
        ("2025-03-15 14:30:00 -0800", -8),
        ("2025-03-15 14:30:00 +02:00", 2),
        ("  20250315T143000+0200 ", 2),
    ],
)
def test_the_usual_forms_of_iso_8601_are_read_and_without_a_zone_it_is_utc(text: str, hours: int) -> None:
    moment = load(order_date=text)["order_date"]
    assert moment.replace(tzinfo=None) == datetime(2025, 3, 15, 14, 30)
    assert moment.utcoffset() == timedelta(hours=hours)


def test_microseconds_are_kept_and_a_date_alone_is_its_midnight() -> None:
    assert load(order_date="2025-03-15T14:30:00.123456Z")["order_date"].microsecond == 123456
    assert load(order_date="2025-03-15")["order_date"] == datetime(2025, 3, 15, tzinfo=UTC)


@pytest.mark.parametrize("wrong", ["15.03.2025", "2025-02-30", "2025-03-15T25:00:00Z", "now", 1742049000, True])
def test_what_is_no_iso_8601_time_is_refused(wrong: Any) -> None:
    assert "ISO 8601" in faults(order_date=wrong)["/order_date"]


@pytest.mark.parametrize("wrong", ["0001-01-01T00:00:00Z", "1969-12-31", "3000-01-01"])
def test_a_year_that_nobody_means_is_refused(wrong: str) -> None:
    assert "1970 to 2999" in faults(estimated_delivery=wrong)["/estimated_delivery"]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("  ann@example.com ", "ann@example.com"),
        ("ann@bücher.example.com", "ann@xn--bcher-kva.example.com"),
        ("ann@EXAMPLE.com", "ann@example.com"),
        ("Ann+Tag@example.com", "Ann+Tag@example.com"),
        ("ann@shop.test", "ann@shop.test"),
    ],
)
def test_an_address_becomes_what_any_relay_can_carry(sent: str, read: str) -> None:
    assert load_email(sent) == read


def test_a_local_part_that_needs_smtputf8_is_refused_by_that_name() -> None:
    assert "SMTPUTF8" in faults(customer={**CUSTOMER, "email": "jörg@example.com"})["/customer/email"]


@pytest.mark.parametrize(
    "wrong", ["ann", "ann@", "@example.com", "a@b@example.com", "ann@example..com", "Ann <ann@example.com>", "a b@c.de"]
)
def test_what_is_no_address_is_refused(wrong: str) -> None:
    assert list(faults(customer={**CUSTOMER, "email": wrong})) == ["/customer/email"]


def test_an_address_cannot_smuggle_a_header_in() -> None:
    told = faults(customer={**CUSTOMER, "email": "ann@example.com\r\nBcc: eve@example.com"})
    assert "control characters" in told["/customer/email"]


@pytest.mark.parametrize(
    ("sent", "currency", "read"),
    [
        (79.9, "USD", "79.90"),
        ("79.90", "USD", "79.90"),
        (" 80 ", "USD", "80.00"),
        (119.97000000000001, "USD", "119.97"),
        (Decimal("119.97000000000001"), "USD", "119.97"),
        (0, "USD", "0.00"),
        (1500, "JPY", "1500"),
        (Decimal("1500.0"), "jpy", "1500"),
        ("12.345", "KWD", "12.345"),
        ("12.3456", "CLF", "12.3456"),
        ("5.5", "XYZ", "5.50"),
    ],
)
def test_an_amount_gets_the_decimals_of_its_currency(sent: Any, currency: str, read: str) -> None:
    order = load(total=sent, currency=currency, items=[{"name": "A", "quantity": 1, "price": 1}])
    assert str(order["total"]) == read


@pytest.mark.parametrize(("sent", "currency"), [(Decimal("19.999"), "USD"), (19.999, "USD"), ("0.5", "JPY")])
def test_a_real_extra_decimal_is_a_fault_that_names_the_currency(sent: Any, currency: str) -> None:
    assert currency in faults(total=sent, currency=currency)["/total"]


def test_the_decimals_of_an_order_without_currency_are_those_of_the_default() -> None:
    body = make_body(total=Decimal("100.5"), items=[{"name": "A", "quantity": 1, "price": 1}])
    with pytest.raises(InvalidOrder):
        load_order(OrderSchema("JPY"), body)
    assert load_order(OrderSchema("KWD"), body)[0]["total"] == Decimal("100.500")


@pytest.mark.parametrize("place", ["line_total", "amount"])
def test_nested_amounts_are_fitted_too(place: str) -> None:
    changes = {
        "line_total": {"items": [ITEM, {**ITEM, "line_total": "1.005"}]},
        "amount": {"adjustments": [{"label": "A", "amount": 1}, {"label": "Tip", "amount": "1.005"}]},
    }[place]
    assert list(faults(**changes)) == [f"/{'items' if place == 'line_total' else 'adjustments'}/1/{place}"]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("17.647059", "17.647059"),
        (Decimal("79.90"), "79.9"),
        (Decimal("17.647058823529413"), "17.647059"),
        (17.647058823529413, "17.647059"),
        (0, "0"),
        (Decimal("1E+2"), "100"),
    ],
)
def test_a_unit_price_has_six_decimals_or_is_a_double_that_ran_out(sent: Any, read: str) -> None:
    assert str(load_item(price=sent)["price"]) == read


def test_a_unit_price_with_seven_meant_decimals_is_refused() -> None:
    assert "line_total" in faults(items=[{**ITEM, "price": "1.2345678"}])["/items/0/price"]


def test_a_negative_price_is_told_where_coupons_and_gift_cards_belong() -> None:
    told = faults(items=[{**ITEM, "price": -5}])["/items/0/price"]
    assert "`discount`" in told and "`adjustments`" in told


@pytest.mark.parametrize("name", ["total", "subtotal", "shipping_cost", "tax"])
def test_sums_are_not_negative(name: str) -> None:
    assert faults(**{name: -1}) == {f"/{name}": "must not be negative"}


@pytest.mark.parametrize("sent", [5, -5, "-5.00", Decimal("5.0")])
def test_a_discount_comes_off_whatever_its_sign(sent: Any) -> None:
    assert load(discount=sent)["discount"] == Decimal("5.00")


def test_an_adjustment_keeps_its_sign() -> None:
    assert load(adjustments=[{"label": "Gift card", "amount": -20}])["adjustments"][0]["amount"] == Decimal("-20.00")


@pytest.mark.parametrize(
    "wrong",
    [True, False, "NaN", "Infinity", float("nan"), float("inf"), Decimal("sNaN"), "1e5", "1,50", "1.000,00", "$5", ""],
)
def test_what_is_no_number_is_refused(wrong: Any) -> None:
    assert "must be a number" in faults(total=wrong)["/total"]


@pytest.mark.parametrize("wrong", [Decimal("1e400"), 10**400, 10**12, "1000000000000", Decimal("1e999999")])
def test_a_number_beyond_all_measure_is_refused_fast(wrong: Any) -> None:
    assert faults(total=wrong) == {"/total": "is too large"}


def test_a_number_too_small_to_be_meant_is_refused() -> None:
    assert "/total" in faults(total=Decimal("1e-400"))


@pytest.mark.parametrize(("sent", "read"), [(2, "2"), ("0.125", "0.125"), (Decimal("2.000000"), "2"), (1.5, "1.5")])
def test_a_quantity_may_have_three_decimals(sent: Any, read: str) -> None:
    assert str(load_item(quantity=sent)["quantity"]) == read


@pytest.mark.parametrize(
    ("wrong", "words"), [(0, "above 0"), (-1, "negative"), ("0.0001", "3 decimals"), (True, "number")]
)
def test_a_quantity_that_cannot_be_is_refused(wrong: Any, words: str) -> None:
    assert words in faults(items=[{**ITEM, "quantity": wrong}])["/items/0/quantity"]


def test_an_address_as_text_is_its_lines() -> None:
    assert load(shipping_address="1 High St\r\n\n  London  ")["shipping_address"] == {"lines": ["1 High St", "London"]}


def test_an_address_as_an_object_loses_its_blank_lines() -> None:
    sent = {"lines": ["1 High St", "", None, "-"], "city": "London", "postcode": 12345, "country": ""}
    assert load(billing_address=sent)["billing_address"] == {
        "lines": ["1 High St"],
        "city": "London",
        "postcode": "12345",
    }


@pytest.mark.parametrize(
    "blank", [None, "", " \n ", "-", {}, {"lines": []}, {"lines": [""], "city": "", "country": "-"}]
)
def test_a_blank_address_counts_as_absent(blank: Any) -> None:
    assert "shipping_address" not in load(shipping_address=blank)


def test_ignored_fields_are_told_by_escaped_pointers() -> None:
    told = ignored(
        **{"a/b": 1, "c~d": 2},
        customer={**CUSTOMER, "vip": True},
        items=[ITEM, {**ITEM, "colour": "red"}],
        shipping_address={"lines": ["x"], "state": "CA"},
    )
    assert set(told) == {"/customer/vip", "/items/1/colour", "/a~1b", "/c~0d", "/shipping_address/state"}
    assert len(told) == 5


def test_at_most_a_hundred_ignored_fields_are_told() -> None:
    assert len(ignored(**{f"x{number}": 1 for number in range(300)})) == 100


@pytest.mark.parametrize(
    ("name", "longest"), [("order_id", 128), ("shipping_method", 200), ("payment_method", 200), ("notes", 2000)]
)
def test_text_has_a_greatest_length(name: str, longest: int) -> None:
    assert load(**{name: "x" * longest})[name] == "x" * longest
    assert faults(**{name: "x" * (longest + 1)}) == {
        f"/{name}": f"must have at most {longest} characters, has {longest + 1}"
    }


@pytest.mark.parametrize(
    ("name", "part", "most"),
    [("items", ITEM, 500), ("adjustments", {"label": "Fee", "amount": 1}, 50)],
)
def test_lists_have_a_greatest_length(name: str, part: dict[str, Any], most: int) -> None:
    assert len(load(**{name: [part] * most})[name]) == most
    assert list(faults(**{name: [part] * (most + 1)})) == [f"/{name}"]


def test_an_order_has_at_least_one_item() -> None:
    assert faults(items=[]) == {"/items": "must have 1 to 500 items"}


def test_an_address_has_at_most_ten_lines() -> None:
    assert faults(shipping_address={"lines": ["x"] * 11}) == {"/shipping_address/lines": "must have at most 10 lines"}


@pytest.mark.parametrize("url", ["https://shop.example/o/1?a=b#c", "http://localhost:8000/", "HTTPS://shop.example/"])
def test_an_absolute_web_address_is_taken(url: str) -> None:
    assert load(order_url=url)["order_url"] == url


@pytest.mark.parametrize(
    "wrong",
    [
        "javascript:alert(1)",
        " JavaScript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,x",
        "//shop.example/o",
        "/o/1",
        "https://",
        "https://[::1",
        'https://shop.example/"><script>',
        "https://shop.example/a b",
    ],
)
def test_any_other_address_is_refused(wrong: str) -> None:
    assert list(faults(order_url=wrong)) == ["/order_url"]
    assert list(faults(items=[{**ITEM, "image_url": wrong}])) == ["/items/0/image_url"]


@pytest.mark.parametrize(
    ("name", "good", "wrong"),
    [
        ("currency", "EUR", "EU"),
        ("currency", "IRT", "€"),
        ("locale", "zh_Hant_TW", "en_"),
        ("locale", "de-AT", "../en"),
        ("timezone", "Europe/Berlin", "Berlin"),
        ("timezone", "UTC", "../../etc/passwd"),
    ],
)
def test_codes_are_taken_by_their_form(name: str, good: str, wrong: str) -> None:
    assert load(**{name: good})[name] == good
    assert list(faults(**{name: wrong})) == [f"/{name}"]
