"""Shop platforms: the signatures of their webhooks, and their orders in this service's own schema. One file each."""

from __future__ import annotations

from orderconfirm.platforms import saleor, shopify, standard, stripe, woocommerce
from orderconfirm.platforms.readings import Format, Found, Nothing, Outcome, Unreadable

__all__ = ["FORMATS", "Format", "Found", "Nothing", "Outcome", "Unreadable"]

#: Every format by its name in a shop's profile.
FORMATS = {each.FORMAT.name: each.FORMAT for each in (woocommerce, shopify, standard, saleor, stripe)}
