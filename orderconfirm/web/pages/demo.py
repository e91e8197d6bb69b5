"""The compose page's endpoints, which require a CSRF token of the page instead of an API key."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, request
from flask_wtf.csrf import validate_csrf
from wtforms import ValidationError

from orderconfirm.settings import Settings
from orderconfirm.web import api, problem_types
from orderconfirm.web.auth import Authenticator
from orderconfirm.web.problems import problem

bp = Blueprint("demo", __name__, url_prefix="/demo/orders")
bp.add_url_rule("", view_func=api.place_order, methods=["POST"])
bp.add_url_rule("/preview", view_func=api.preview_order, methods=["POST"])
bp.add_url_rule("/<order_id:order_id>", view_func=api.show_order)


@bp.before_request
def authenticate() -> None:
    """Check the token against the session cookie, and act as the demo's shop. Raises ValidationError."""
    validate_csrf(request.headers.get("X-CSRFToken"))
    settings: Settings = current_app.extensions["orderconfirm"].settings
    authenticator: Authenticator = current_app.extensions["authenticator"]
    authenticator.authenticate_as(settings.demo_shop)


@bp.errorhandler(ValidationError)
def csrf_error(_: ValidationError) -> Response:
    return problem(problem_types.CSRF_TOKEN, problem_types.CSRF_TOKEN.detail)
