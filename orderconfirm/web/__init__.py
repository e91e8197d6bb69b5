"""What comes in: the JSON API, its documentation, the pages, and how their failures are told."""

from __future__ import annotations

from flask import Flask
from flask_cors import CORS
from werkzeug.middleware.proxy_fix import ProxyFix

from orderconfirm.settings import Settings
from orderconfirm.web import health, hosts, middleware, problems
from orderconfirm.web.auth import Authenticator
from orderconfirm.web.openapi import document
from orderconfirm.web.pages import views

#: The largest body that is read, in bytes.
MAX_BYTES = 1024 * 1024


def init_app(app: Flask, settings: Settings) -> None:
    """Register every route."""
    app.config["MAX_CONTENT_LENGTH"] = MAX_BYTES
    app.url_map.merge_slashes = False  # //x is not x: a redirect would lead to another order
    app.json.sort_keys = False  # type: ignore[attr-defined]  # as written: what matters comes first
    app.extensions["authenticator"] = Authenticator(settings)
    middleware.init_app(app)
    hosts.init_app(app, settings)
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies)  # type: ignore[method-assign]
    document.init_app(app)
    problems.init_app(app)
    app.register_blueprint(health.bp)
    app.register_blueprint(views.bp)
    if settings.has_demo_page:
        from orderconfirm.web.pages import demo  # with Flask-WTF, which production has no use for

        demo.init_app(app)
    if settings.cors_origins:
        CORS(
            app,
            resources={r"/api/.*": {"origins": list(settings.cors_origins)}},
            methods=["GET", "HEAD", "POST", "DELETE"],
            expose_headers=["Preference-Applied", "Retry-After", "X-Request-ID"],
            max_age=600,
        )
