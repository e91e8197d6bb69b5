"""Addresses as the post offices of their countries print them, in both parts of the mail."""

from __future__ import annotations

from dataclasses import replace
from html import unescape

import pytest
from address_formats import formats
from babel import Locale
from factories import make_order
from renderers import shared_renderer

from orderconfirm.mail.addresses import FORMATS, address_lines
from orderconfirm.order.models import Address
from orderconfirm.settings import Settings

JANE = "Jane Roe"
#: By country code: name, street, city, postcode, region as shops send them, and the lines that the post office prints.
#: The sources are the addressing sheets of the Universal Postal Union (upu.int) and Google's address data.
PRINTED = {
    "AU": (
        Address((JANE, "200 Broadway Ave"), "West Beach", "5024", None, "SA"),
        "200 Broadway Ave|WEST BEACH SA 5024",
    ),
    "BR": (
        Address((JANE, "Rua Augusta, 1500"), "São Paulo", "01304-001", None, "SP"),
        "Rua Augusta, 1500|SÃO PAULO-SP|01304-001",
    ),
    "CA": (
        Address((JANE, "10-123 1/2 Main St"), "Montréal", "H3Z 2Y7", None, "QC"),
        "10-123 1/2 Main St|MONTRÉAL QC H3Z 2Y7",
    ),
    "CH": (Address((JANE, "Schanzenstrasse 7"), "Bern", "3030"), "Schanzenstrasse 7|3030 Bern"),
    "CN": (
        Address(("王小明", "天河路385号"), "广州市", "510620", None, "广东省"),
        "510620|广东省广州市|天河路385号|王小明",
    ),
    "DE": (Address((JANE, "Rhonestr. 12"), "Frankfurt", "60528"), "Rhonestr. 12|60528 Frankfurt"),
    "EG": (
        Address(("منى علي", "شارع التحرير 12"), "الدقي", "12311", None, "الجيزة"),
        "شارع التحرير 12|الدقي|الجيزة|12311",
    ),
    "ES": (
        Address((JANE, "Calle Aduana, 29"), "Getafe", "28904", None, "Madrid"),
        "Calle Aduana, 29|28904 GETAFE MADRID",
    ),
    "FR": (Address((JANE, "25 rue de l’Église"), "Cauderan", "33200"), "25 rue de l’Église|33200 CAUDERAN"),
    "GB": (
        Address((JANE, "10 High Street"), "Winchester", "SO23 9AA", None, "Hampshire"),
        "10 High Street|WINCHESTER|SO23 9AA",
    ),
    "HU": (Address(("Kovács Anna", "Honvéd utca 13"), "Budapest", "1054"), "BUDAPEST|Honvéd utca 13|1054"),
    "IL": (Address(("דנה לוי", "רחוב יפו 16"), "ירושלים", "9414219"), "רחוב יפו 16|ירושלים 9414219"),
    "IN": (
        Address((JANE, "12 Hastings Road"), "Mumbai", "400001", None, "Maharashtra"),
        "12 Hastings Road|Mumbai 400001|Maharashtra",
    ),
    "IT": (Address((JANE, "Via Baldini 7"), "Ferrara", "44121", None, "FE"), "Via Baldini 7|44121 FERRARA FE"),
    "JP": (
        Address(("山田太郎", "霞が関1-3-2"), "千代田区", "100-8798", None, "東京都"),
        "〒100-8798|東京都千代田区|霞が関1-3-2|山田太郎",
    ),
    "KR": (
        Address(("홍길동", "종로 6"), "종로구", "03187", None, "서울특별시"),
        "서울특별시 종로구|종로 6|홍길동|03187",
    ),
    "MX": (
        Address((JANE, "Calle Coahuila 99"), "Mexicali", "21000", None, "B.C."),
        "Calle Coahuila 99|21000 MEXICALI, B.C.",
    ),
    "NL": (Address((JANE, "Hoge Rijndijk 48"), "Leiden", "2312 NL"), "Hoge Rijndijk 48|2312 NL Leiden"),
    "PL": (Address((JANE, "ul. Długa 5"), "Kraków", "31-147"), "ul. Długa 5|31-147 Kraków"),
    "SE": (Address((JANE, "Vasagatan 7"), "Stockholm", "111 20"), "Vasagatan 7|111 20 Stockholm"),
    "SG": (Address((JANE, "16 Sandilands Road"), "Singapore", "546080"), "16 Sandilands Road|SINGAPORE 546080"),
    "TR": (
        Address((JANE, "Defterdar Sokağı 1"), "Kadıköy", "34710", None, "İstanbul"),
        "Defterdar Sokağı 1|34710 Kadıköy/İstanbul",
    ),
    "US": (
        Address((JANE, "455 Larkspur Dr"), "Springfield", "62704", None, "IL"),
        "455 Larkspur Dr|SPRINGFIELD, IL 62704",
    ),
}
ENGLISH = Locale("en")


def test_the_formats_are_googles() -> None:
    assert FORMATS.read_text(encoding="utf-8") == formats()


@pytest.mark.parametrize("country", PRINTED)
def test_an_address_is_printed_as_in_its_country_in_both_parts_of_the_mail(country: str) -> None:
    address, text = PRINTED[country]
    name = address.lines[0]
    lines = text.split("|") if name in text else [name, *text.split("|")]
    order = make_order(shipping_address=replace(address, country=country))
    email = shared_renderer(Settings()).render(order)
    expected = [*lines, ENGLISH.territories[country]]
    assert list(address_lines(order.shipping_address, ENGLISH)) == expected
    assert "\n".join(f"  {line}" for line in expected) in email.text
    assert "<br>".join(expected) in unescape(email.html)


@pytest.mark.parametrize("country", ["jp", "JPN", "Japan", "Japon"])
def test_a_country_is_known_by_its_codes_and_its_names(country: str) -> None:
    address = replace(PRINTED["JP"][0], country=country)
    assert address_lines(address, Locale("fr"))[:2] == ("〒100-8798", "東京都千代田区")


def test_a_japanese_address_in_latin_letters_begins_with_the_name() -> None:
    address = Address((JANE, "1-3-2 Kasumigaseki"), "Chiyoda-ku", "100-8798", "JP", "Tokyo")
    expected = (JANE, "1-3-2 Kasumigaseki", "Chiyoda-ku, TOKYO 100-8798", "Japan")
    assert address_lines(address, ENGLISH) == expected


@pytest.mark.parametrize(
    ("country", "tag", "name"),
    [
        ("DE", "en", "Germany"),
        ("DE", "de", "Deutschland"),
        ("DE", "ja", "ドイツ"),
        ("DEU", "ar", "ألمانيا"),
        ("UK", "fr", "Royaume-Uni"),
        ("Deutschland", "en", "Deutschland"),
        ("XY", "en", "XY"),
    ],
)
def test_a_country_code_becomes_a_name_in_the_readers_language(country: str, tag: str, name: str) -> None:
    assert address_lines(Address(("1 Road",), country=country), Locale(tag))[-1] == name


@pytest.mark.parametrize(
    ("address", "lines"),
    [
        (Address(("1 Road",), "Springfield", None, "US"), ["1 Road", "SPRINGFIELD", "United States"]),
        (Address(("1 Road",), "Springfield", "62704", "US"), ["1 Road", "SPRINGFIELD 62704", "United States"]),
        (Address(("1 Road",), None, "62704", "US", "IL"), ["1 Road", "IL 62704", "United States"]),
        (Address(("1 Road",), "Dubai", "00000", "AE"), ["1 Road", "Dubai", "00000", "United Arab Emirates"]),
        (Address((), "Singapore", None, "SG"), ["Singapore", "Singapore"]),
        (Address(("Calle 1",), "Madrid", "28013", "ES", "Madrid"), ["Calle 1", "28013 MADRID", "Spain"]),
        (Address(("1 Road",), "Town", "12345", "Nowhere", "Region"), ["1 Road", "12345 Town", "Region", "Nowhere"]),
        (Address(("1 Road\u202c", "Town")), ["1 Road\u202c", "Town"]),
        (None, []),
    ],
)
def test_absent_parts_leave_no_separator_and_no_part_is_lost(address: Address | None, lines: list[str]) -> None:
    assert list(address_lines(address, ENGLISH)) == lines
