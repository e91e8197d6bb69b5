"""Personal data of an order in the words of a relay."""

from __future__ import annotations

import pytest

from orderconfirm.order.personal_data import mask_personal_data
from orderconfirm.order.serialization import encode_payload

ADDRESS = {"lines": ["Björk Design AB", "Storgatan 1"], "city": "Stockholm", "postcode": "111 22", "country": "Sweden"}
CUSTOMER = {
    "name": "Anna Björk",
    "email": "anna.bjork@example.com",
    "address": "123 Main St, Anytown,\nUSA",
    "phone": "+1 555-123-4567",
}
PAYLOAD = encode_payload({"customer": CUSTOMER, "shipping_address": ADDRESS, "billing_address": None}, {})


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("5.2.2 the mailbox of Anna Björk is full", "5.2.2 the mailbox of … is full"),
        ("BJÖRK, ANNA: no such user", "…, …: no such user"),
        ("<anna.bjork@example.com>: user anna.bjork unknown", "<…@example.com>: user … unknown"),
        ("nobody at 123 Main St in Anytown", "nobody at … in …"),
        ("call +1 555-123-4567 or 15551234567", "call … or …"),
        ("Storgatan 1, 111 22 Stockholm", "…, … …"),
        ("5.7.1 Annabelle and Anna_2 are others", "5.7.1 Annabelle and Anna_2 are others"),
        ("", ""),
    ],
)
def test_names_addresses_and_numbers_of_the_order_are_masked(text: str, masked: str) -> None:
    assert mask_personal_data(text, PAYLOAD) == masked


def test_words_of_one_or_two_characters_stay() -> None:
    payload = encode_payload({"customer": {"name": "Jo", "email": "no@example.com"}}, {})
    assert mask_personal_data("5.1.1 no such user Jo", payload) == "5.1.1 no such user Jo"


@pytest.mark.parametrize(
    "payload", ["", "{", "{}", "[]", '{"request": {}, "defaults": {}}', encode_payload({"customer": 1}, {})]
)
def test_a_damaged_order_masks_nothing_and_does_not_raise(payload: str) -> None:
    assert mask_personal_data("no such user", payload) == "no such user"
