"""The labels of the rows below the lines, in the customer's language."""

from __future__ import annotations

from collections.abc import Callable

from babel import Locale

from orderconfirm.order.models import Order
from orderconfirm.order.totals import Totals

#: Tax names of countries that differ from the language's usual one.
_TAXES = {
    "en": {
        **dict.fromkeys("AE CY GB IE KE MT NG PH ZA".split(), "VAT"),
        **dict.fromkeys("AU IN NZ SG".split(), "GST"),
    },
    "es": {**dict.fromkeys("PR US".split(), "Impuestos"), "DO": "ITBIS", "PA": "ITBMS", "PE": "IGV"},
    "fr": {"CA": "Taxes"},
}


def row_labels(order: Order, totals: Totals, locale: Locale, _: Callable[[str], str]) -> dict[str, str]:
    """Return the labels of the rows that add up to the total, by the kind of row."""
    return {
        "subtotal": _("Subtotal"),
        "discount": _("Discount"),
        "shipping": _("Shipping"),
        "tax": _tax(order, locale, _),
        "rounding": _("Rounding"),
        "other": _("Other charges") if totals.difference > 0 else _("Other reductions"),
    }


def included_labels(order: Order, locale: Locale, _: Callable[[str], str]) -> dict[str, str]:
    """Return the labels of the amounts that the prices already contain, by the kind of row."""
    return {
        "tax": _("%(tax)s included") % {"tax": _tax(order, locale, _)},
        "discount": _("Discount already taken off"),
    }


def _tax(order: Order, locale: Locale, _: Callable[[str], str]) -> str:
    """Return the shop's name for the tax, or else that of the locale."""
    return order.tax_label or _TAXES.get(locale.language, {}).get(locale.territory or "") or _("Tax")
