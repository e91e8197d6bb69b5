"""Currency codes that are unknown, and the ones that were probably meant."""

from __future__ import annotations

from functools import lru_cache

from babel.numbers import list_currencies


@lru_cache(maxsize=256)
def describe_unknown_currency(code: str) -> str | None:
    """Return a warning for the shop, or None if CLDR, which includes all of ISO 4217, knows the code."""
    known = list_currencies()
    if code in known:
        return None
    meant = sorted(each for each in known if sorted(each) == sorted(code))
    hint = f" {' or '.join(meant)} may be meant." if meant else ""
    return f"currency {code} is unknown: the mail shows it as a code, with two decimals.{hint}"
