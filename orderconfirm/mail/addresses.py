"""Postal addresses, laid out as their country's post office does, with the country's name in the reader's language.

The formats are Google's address data (CC BY 4.0, github.com/google/libaddressinput), in address_formats.json. A format
is a text of fields, with `%n` between lines: %N name, %O company, %A street, %D district, %C city, %S region,
%Z postcode, %X sorting code. `make address-formats` writes the file.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from babel import Locale
from babel.core import get_global

from orderconfirm.order.models import Address

FORMATS = Path(__file__).with_name("address_formats.json")
#: The format for unknown countries: everything that the shop sent, in the order of most countries.
_OTHER = ("%N%n%A%n%Z %C%n%S", "", "")
#: Google's Japanese format expects the city in the street.
_JAPAN = ("〒%Z%n%S%C%n%A%n%N", "%N%n%A%n%C, %S %Z", "S")
_FIELD = re.compile("([^%]*)%([NOADCSZX])")
#: A prefix like SE- is for mail from abroad only.
_PREFIX = re.compile("[A-Z]{2}-(?=%Z)")
#: Names of countries that differ from CLDR's.
_OTHER_NAMES = {
    "czech republic": "CZ",
    "england": "GB",
    "great britain": "GB",
    "hong kong": "HK",
    "korea": "KR",
    "macau": "MO",
    "northern ireland": "GB",
    "russian federation": "RU",
    "scotland": "GB",
    "the netherlands": "NL",
    "turkey": "TR",
    "united states of america": "US",
    "viet nam": "VN",
    "wales": "GB",
}
#: A line's fields, each with the separator before it, and the text after the last one.
_Line = tuple[tuple[tuple[str, str], ...], str]


def address_lines(address: Address | None, locale: Locale) -> tuple[str, ...]:
    """Return the lines of an address as its country's post office prints them."""
    if address is None:
        return ()
    country = _country_code(address.country, locale)
    lines, capitals = _format(country, _is_latin(address))
    values = _values(address, capitals)
    printed = [text for line in lines for text in _fill(line, values)]
    # What the format has no place for follows, unless a line says it already, like "SINGAPORE 049483".
    in_format = {name for fields, _ in lines for _, name in fields}
    for text in (values[name] for name in "CZ" if name not in in_format):
        if text and not any(text.casefold() in line.casefold() for line in printed):
            printed.append(text)
    return tuple(line for line in (*printed, _country_name(address.country, country, locale)) if line)


def _values(address: Address, capitals: str) -> dict[str, str]:
    """Return the parts of an address by their letter. The street may have several lines."""
    street = list(address.lines)
    # A first line without a number is the name, which some countries print last.
    name = street.pop(0) if len(street) > 1 and not re.search(r"\d", street[0]) else ""
    values = {"C": address.city or "", "S": address.region or "", "Z": address.postcode or ""}
    if values["S"].casefold() == values["C"].casefold():
        values["S"] = ""
    values = {letter: text.upper() if letter in capitals else text for letter, text in values.items()}
    return {**values, "N": name, "A": "\n".join(street)}


def _fill(line: _Line, values: Mapping[str, str]) -> list[str]:
    """Return a line of a format with its values, without the separators of empty ones."""
    fields, end = line
    text = ""
    for position, (before, name) in enumerate(fields):
        if value := values.get(name):
            text += (before if text or position == 0 else "") + value
    return (text + end).split("\n") if text or not fields else []


@lru_cache(maxsize=512)
def _format(country: str | None, is_latin: bool) -> tuple[tuple[_Line, ...], str]:
    """Return the lines of a country's format, and the letters of the fields in capitals."""
    local, latin, capitals = _JAPAN if country == "JP" else _formats().get(country or "", _OTHER)
    text = _PREFIX.sub("", latin if latin and is_latin else local)
    lines = []
    for line in text.split("%n"):
        fields = tuple((before, name) for before, name in _FIELD.findall(line))
        lines.append((fields, line[sum(len(before) + 2 for before, _ in fields) :]))
    return tuple(lines), capitals


@lru_cache(maxsize=1)
def _formats() -> dict[str, tuple[str, str, str]]:
    rows = json.loads(FORMATS.read_text(encoding="utf-8"))
    return {country: tuple(row) for country, row in rows.items()}


def _is_latin(address: Address) -> bool:
    text = "".join((*address.lines, address.city or "", address.region or ""))
    letters = "" if text.isascii() else filter(str.isalpha, text)
    return all(unicodedata.name(letter, "").startswith("LATIN") for letter in letters)


@lru_cache(maxsize=1024)
def _country_code(country: str | None, locale: Locale) -> str | None:
    """Return the ISO 3166 code of a code like SE or SWE, or of a name in English or the reader's language."""
    if not country:
        return None
    code = get_global("territory_aliases").get(country.upper(), [country.upper()])[0]
    if len(code) == 2 and code in locale.territories:
        return str(code)
    name = country.casefold()
    return _OTHER_NAMES.get(name) or _countries(Locale("en")).get(name) or _countries(locale).get(name)


def _country_name(country: str | None, code: str | None, locale: Locale) -> str | None:
    """Return the name of a country given as a code. A name is printed as the shop wrote it."""
    is_code = country is not None and code is not None and len(country) <= 3
    return locale.territories.get(code, country) if is_code else country


@lru_cache(maxsize=32)
def _countries(locale: Locale) -> dict[str, str]:
    return {name.casefold(): code for code, name in locale.territories.items() if len(code) == 2 and code.isalpha()}
