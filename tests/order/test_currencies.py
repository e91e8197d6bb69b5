"""Warnings about currency codes that nobody uses."""

from __future__ import annotations

import pytest

from orderconfirm.order.currencies import describe_unknown_currency


@pytest.mark.parametrize("code", ["USD", "EUR", "XAF", "BYN", "DEM"])
def test_a_known_currency_has_no_warning(code: str) -> None:
    assert describe_unknown_currency(code) is None


@pytest.mark.parametrize(("code", "hint"), [("UDS", "USD may be meant"), ("IRT", "two decimals.")])
def test_an_unknown_currency_has_a_warning_with_the_code_that_may_be_meant(code: str, hint: str) -> None:
    warning = describe_unknown_currency(code) or ""
    assert warning.startswith(f"currency {code} is unknown") and hint in warning
