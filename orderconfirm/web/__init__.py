"""What comes in: the JSON API, the pages, and how their failures are told."""

from __future__ import annotations

from flask import Flask

from orderconfirm.settings import Settings
from orderconfirm.web import api, health, pages, problems
from orderconfirm.web.schemas import OrderSchema

#: The largest body that is read, in bytes.
MOST_BYTES = 1024 * 1024


def init_app(app: Flask, settings: Settings) -> None:
    """Register every route."""
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    app.extensions["order_schema"] = OrderSchema(settings.default_currency)
    problems.init_app(app)
    app.register_blueprint(api.bp)
    app.register_blueprint(health.bp)
    app.register_blueprint(pages.bp)
