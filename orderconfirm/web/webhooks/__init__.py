"""Delivery events from relay providers, one module each, all imported here: each adds its route to `bp`."""

from __future__ import annotations

from orderconfirm.web.webhooks import mailtrap
from orderconfirm.web.webhooks.blueprint import bp

__all__ = ["bp", "mailtrap"]
