"""The web layer: the JSON API, its documentation, webhooks, health checks and pages. Every route is registered here."""

from __future__ import annotations

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from orderconfirm.limits import MAX_BODY_BYTES
from orderconfirm.settings import Settings
from orderconfirm.web import access_log, api, health, hosts, middleware, problems, webhooks
from orderconfirm.web.auth import Authenticator
from orderconfirm.web.openapi import document
from orderconfirm.web.pages import views
from orderconfirm.web.url_converters import OrderIdConverter


def init_app(app: Flask, settings: Settings) -> None:
    """Register the middleware, the error handlers and every route."""
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.url_map.merge_slashes = False  # /a//b is a different order from /a/b, so a redirect would be wrong
    app.url_map.converters["order_id"] = OrderIdConverter
    # No view is a coroutine, and Flask would check every function on every request.
    app.ensure_sync = lambda func: func  # type: ignore[method-assign]
    app.json.sort_keys = False  # type: ignore[attr-defined]  # keep the order of the schemas
    app.extensions["authenticator"] = Authenticator(settings)
    middleware.init_app(app)
    access_log.init_app(app)
    hosts.init_app(app, settings)
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies)  # type: ignore[method-assign]
    app.register_blueprint(health.bp)
    if settings.takes_orders:
        _register_blueprints(app, settings)
    problems.init_app(app)
    if settings.cors_origins:
        from flask_cors import CORS

        CORS(
            app,
            resources={r"/api/.*": {"origins": list(settings.cors_origins)}},
            methods=["GET", "HEAD", "POST", "DELETE"],
            expose_headers=["Preference-Applied", "Retry-After", "X-Request-ID"],
            max_age=600,
        )


def _register_blueprints(app: Flask, settings: Settings) -> None:
    for bp in (api.bp, webhooks.bp, document.bp, views.bp):
        app.register_blueprint(bp)
    if settings.has_demo_page or settings.has_outbox_page:
        # Imports Flask-WTF, which a service without these pages does not need.
        from orderconfirm.web.pages import session

        session.init_app(app, settings)
    if settings.has_demo_page:
        from orderconfirm.web.pages import demo

        app.register_blueprint(demo.bp)
    if settings.has_outbox_page:
        from orderconfirm.web.pages import login, order, outbox

        for bp in (login.bp, outbox.bp, order.bp):
            app.register_blueprint(bp)
