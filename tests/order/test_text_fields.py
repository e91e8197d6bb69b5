"""The short cut for usual mail addresses: it accepts only what the parser accepts, unchanged."""

from __future__ import annotations

import pytest
from email_validator import EmailNotValidError, validate_email

from orderconfirm.order import text_fields

USUAL = ["john.doe@example.com", "a@b.co", "A_b+tag-1@mail-2.shop.example", "x" * 64 + "@example.com"]
LOCAL = ["a", "a.b", "a..b", ".a", "a.", "a-b", "a--b", "-a", "a_+b", "a b", '"a"', "x" * 64, "x" * 65, "é", ""]
DOMAINS = ["example.com", "Example.com", "a-b.example", "a--b.example", "xn--bcher-kva.example", "-a.example"]
MORE_DOMAINS = ["a_b.example", "example", "1.2.3.4", "a.b1", "a..b", "localhost", "a.test", "a.invalid", "a.onion"]
LONG_DOMAINS = ["y" * 63 + ".example", "y" * 64 + ".example", "a.c\n", "müller.example", ""]


def is_short_cut(address: str) -> bool:
    has_special_domain = f".{address.partition('@')[2]}".endswith(text_fields._SPECIAL_DOMAINS)
    return bool(text_fields._USUAL_ADDRESS.match(address)) and not has_special_domain


def parsed(address: str) -> str | None:
    options = {"check_deliverability": False, "allow_smtputf8": False, "test_environment": True, "strict": True}
    try:
        return validate_email(address, **options).ascii_email
    except EmailNotValidError:
        return None


@pytest.mark.parametrize("address", USUAL)
def test_a_usual_address_needs_no_parser(address: str) -> None:
    assert is_short_cut(address)


def test_the_parser_accepts_every_address_of_the_short_cut_unchanged() -> None:
    domains = [*DOMAINS, *MORE_DOMAINS, *LONG_DOMAINS]
    addresses = [f"{local}@{domain}" for local in LOCAL for domain in domains]
    usual = [address for address in [*USUAL, *addresses] if is_short_cut(address)]
    assert len(usual) > len(USUAL)
    assert [address for address in usual if parsed(address) != address] == []
