"""The shops: a profile for each, whose values take the place of the service's settings."""

from orderconfirm.shops.profiles import ShopProfile, Shops, ShopWebhook

__all__ = ["ShopProfile", "ShopWebhook", "Shops"]
