"""The API's documentation: OpenAPI 3.1 made from the schemas, and two readers of it, all served by us."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import flask_smorest
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Blueprint, Flask, Response, abort, current_app, jsonify, render_template, send_from_directory
from marshmallow.fields import Field
from werkzeug.routing import BaseConverter

from orderconfirm.web import api, webhooks
from orderconfirm.web.fields import CurrencyCode, LocaleTag, MailAddress, Moment, Number, Text, TimeZoneName, WebUrl
from orderconfirm.web.schemas import PostalAddress

bp = Blueprint("documentation", __name__, template_folder="templates")

#: Both readers write styles of their own into the page; ReDoc searches in a worker.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; worker-src blob:; font-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"
)
#: From packages that carry them, by the names they are served under.
_ASSETS = {
    "swagger-ui.css": ("flask_swagger_ui", "dist/swagger-ui.css"),
    "swagger-ui-bundle.js": ("flask_swagger_ui", "dist/swagger-ui-bundle.js"),
    "redoc.standalone.js": ("flask_openapi_redoc", "templates/redoc/js/redoc.standalone.js"),
}
_FORMATS: dict[type[Field[Any]], tuple[str, str | None]] = {
    Text: ("string", None),
    MailAddress: ("string", "email"),
    WebUrl: ("string", "uri"),
    CurrencyCode: ("string", None),
    LocaleTag: ("string", None),
    TimeZoneName: ("string", None),
    Moment: ("string", None),
}


class OrderId(BaseConverter):
    """An order id may hold slashes; the last part of a path is still a verb where there is one."""

    regex = "(?!preview$)(?!.*/(?:cancel|resend)$)[^/].*?"
    part_isolating = False


def init_app(app: Flask) -> None:
    """Register the API with its documentation."""
    app.config.update(
        API_TITLE="orderconfirm",
        API_VERSION="1",
        OPENAPI_VERSION="3.1.0",
        API_SPEC_OPTIONS={
            "info": {"description": "Takes orders and mails personal order confirmations, losing none."},
            "components": {
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer"},
                    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                }
            },
            "security": [{"bearer": []}, {"key": []}],
        },
    )
    app.url_map.converters["order_id"] = OrderId
    documented = flask_smorest.Api(app)
    documented.register_converter(OrderId, lambda _: {"type": "string", "maxLength": 128})
    converter = documented.ma_plugin.converter
    for kind, (name, form) in _FORMATS.items():
        converter.field_mapping[kind] = (name, form)
    converter.field_mapping[Number] = (None, None)
    converter.field_mapping[PostalAddress] = (None, None)
    converter.add_attribute_function(_describe)
    documented.register_blueprint(api.bp)
    documented.register_blueprint(webhooks.bp)
    app.extensions["openapi"] = documented
    app.register_blueprint(bp)


def _describe(self: MarshmallowPlugin, field: Field[Any], **_: Any) -> dict[str, Any]:
    """What our own fields take, in JSON Schema's words."""
    null = [{"type": "null"}] if field.allow_none else []
    if isinstance(field, Number):
        least = {"positive": {"exclusiveMinimum": 0}, "zero": {"minimum": 0}}.get(field.least, {})
        digits = r"\d{1,12}(\.\d{1,40})?$"
        text = {"type": "string", "pattern": f"^{digits}" if least else f"^[+-]?{digits}"}
        return {"anyOf": [{"type": "number", "exclusiveMaximum": int(field.below), **least}, text, *null]}
    if isinstance(field, PostalAddress):
        return {"anyOf": [{"type": "string", "maxLength": 1000}, {"type": "object"}, *null]}
    if isinstance(field, Text):
        return {"maxLength": field.longest, **({"minLength": 1, "pattern": r"\S"} if field.required else {})}
    return {}


@bp.after_request
def restrict(answer: Response) -> Response:
    answer.headers["Content-Security-Policy"] = _POLICY
    return answer


@bp.get("/openapi.json")
def openapi() -> Response:
    """The document. It changes with the version only, so that it may be kept and asked for again."""
    answer = jsonify(current_app.extensions["openapi"].spec.to_dict())
    answer.headers["Cache-Control"] = "no-cache"
    answer.add_etag()
    return answer


@bp.get("/docs")
def docs() -> str:
    return render_template(
        "documentation.html", styles=["swagger-ui.css"], scripts=["swagger-ui-bundle.js"], starter="docs.js"
    )


@bp.get("/redoc")
def redoc() -> str:
    return render_template("documentation.html", styles=[], scripts=[], starter="redoc.js")


@bp.get("/docs/assets/<name>")
def asset(name: str) -> Response:
    if name not in _ASSETS:
        abort(404)
    package, path = _ASSETS[name]
    file = Path(str(files(package))) / path
    return send_from_directory(file.parent, file.name, max_age=86400)
