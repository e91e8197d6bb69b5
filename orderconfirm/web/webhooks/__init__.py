"""Webhooks of relay providers and of shop platforms. Every module with a route is imported here: it adds it to `bp`."""

from __future__ import annotations

from orderconfirm.web.webhooks import mailtrap, shop_orders
from orderconfirm.web.webhooks.blueprint import bp

__all__ = ["bp", "mailtrap", "shop_orders"]
