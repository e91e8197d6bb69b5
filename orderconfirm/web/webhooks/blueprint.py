"""The blueprint to which each provider's module adds its route."""

from __future__ import annotations

from orderconfirm.web.openapi.blueprint import Blueprint

bp = Blueprint("webhooks", __name__, url_prefix="/api/webhooks", description="Delivery events")
