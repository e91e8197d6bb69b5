"""The demo page's own way in: without a key, but with a token that no other site's page can read or send."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, current_app, request
from flask_wtf.csrf import csrf_meta_tag, validate_csrf
from wtforms import ValidationError

from orderconfirm.settings import SECRET_KEY, Settings
from orderconfirm.web import api, problem_types
from orderconfirm.web.auth import Authenticator
from orderconfirm.web.problems import problem

bp = Blueprint("demo", __name__, url_prefix="/demo/orders")
bp.add_url_rule("", view_func=api.place_order, methods=["POST"])
bp.add_url_rule("/<order_id:order_id>", view_func=api.show_order)


def init_app(app: Flask) -> None:
    """Register the way in, and what gives the page its token: `csrf_meta_tag`, for templates."""
    app.secret_key = SECRET_KEY
    app.config.update(
        # Cookies know no port: the usual name would be shared with every other server on this machine.
        SESSION_COOKIE_NAME="orderconfirm_demo",
        SESSION_COOKIE_SAMESITE="Strict",
        # A page may stay open for long: its token lasts as long as its cookie.
        WTF_CSRF_TIME_LIMIT=None,
    )
    app.jinja_env.globals["csrf_meta_tag"] = csrf_meta_tag
    app.register_blueprint(bp)


@bp.before_request
def authenticate() -> None:
    """Who has the page's token has its cookie's too, and acts as the demo's shop. Raises ValidationError."""
    validate_csrf(request.headers.get("X-CSRFToken"))
    settings: Settings = current_app.extensions["orderconfirm"].settings
    authenticator: Authenticator = current_app.extensions["authenticator"]
    authenticator.authenticate_as(settings.demo_shop)


@bp.errorhandler(ValidationError)
def refuse(_: ValidationError) -> Response:
    return problem(problem_types.CSRF_TOKEN, problem_types.CSRF_TOKEN.detail)
