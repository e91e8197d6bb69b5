"""The API's documentation: OpenAPI 3.1 made from the schemas, and two readers of it, all served by us."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import flask_smorest
from flask import Blueprint, Flask, Response, abort, current_app, jsonify, render_template, request, send_from_directory
from werkzeug.routing import BaseConverter, PathConverter

from orderconfirm.order.schemas import AddressSchema
from orderconfirm.web import api, problem_types
from orderconfirm.web.openapi import field_schemas
from orderconfirm.web.openapi.blueprint import failure
from orderconfirm.web.response_schemas import ProblemSchema
from orderconfirm.web.webhooks import mailtrap as webhooks

bp = Blueprint("documentation", __name__, template_folder="../pages/templates")

#: Both readers write styles of their own into the page; ReDoc searches in a worker.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; worker-src blob:; font-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"
)
#: From packages that carry them, by the names they are served under.
_ASSETS = {
    "swagger-ui.css": ("flask_swagger_ui", "dist/swagger-ui.css"),
    "swagger-ui-bundle.js": ("flask_swagger_ui", "dist/swagger-ui-bundle.js"),
}


_ORDER_ID: dict[str, object] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 128,
    "description": "the order's own; its slashes may stand as they are",
    "examples": ["ORD-12345"],
}


class OrderId(BaseConverter):
    """An order id may hold slashes; the last part of a path is still a verb where there is one."""

    regex = "(?!preview$)(?!.*/(?:cancel|resend)$)[^/].*?"
    part_isolating = False


class DocumentedApi(flask_smorest.Api):  # type: ignore[misc]
    """flask-smorest's, without the error answer of its own: we give ours."""

    DEFAULT_ERROR_RESPONSE_NAME = None


def init_app(app: Flask) -> None:
    """Register the API with its documentation."""
    app.config.update(
        API_TITLE="orderconfirm",
        API_VERSION="1",
        OPENAPI_VERSION="3.1.0",
        API_SPEC_OPTIONS={
            "info": {"description": _about()},
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
    documented = DocumentedApi(app)
    for converter in (OrderId, PathConverter):
        documented.register_converter(converter, lambda _: _ORDER_ID)
    field_schemas.register(documented.ma_plugin.converter)
    # What is referred to by name alone.
    documented.spec.components.schema("Problem", schema=ProblemSchema)
    documented.spec.components.schema("Address", schema=AddressSchema)
    # What no operation answers, but the service in its place.
    for kind in (problem_types.METHOD_NOT_ALLOWED, problem_types.CSRF_TOKEN):
        documented.spec.components.response(kind.name, failure([kind]))
    documented.register_blueprint(api.bp)
    documented.register_blueprint(webhooks.bp)
    for foreign in ("Error", "PaginationMetadata"):  # flask-smorest's own, which no answer has
        documented.spec.components.schemas.pop(foreign, None)
    app.extensions["openapi"] = documented
    app.register_blueprint(bp)


def _about() -> str:
    """The document's first words, in Markdown, with every failure there is."""
    rows = [f"| `{kind.name}` | {kind.status} | {kind.meaning} |" for kind in problem_types.EVERY]
    return "\n".join(
        (
            "Takes orders and mails personal order confirmations, losing none.",
            "",
            "Every failure is a problem (RFC 9457) whose `type`, `urn:orderconfirm:problem:…`, never changes:",
            "",
            "| type | status | meaning |",
            "|---|---|---|",
            *rows,
        )
    )


@bp.after_request
def restrict(answer: Response) -> Response:
    answer.headers["Content-Security-Policy"] = _POLICY
    return answer


@bp.get("/openapi.json")
def openapi() -> Response:
    """The document. It changes with the version only, so that it is made once, and may be kept and asked for again."""
    extensions = current_app.extensions
    if "document" not in extensions:
        extensions["document"] = jsonify(extensions["openapi"].spec.to_dict()).get_data()
    answer = Response(extensions["document"], mimetype="application/json")
    answer.headers["Cache-Control"] = "no-cache"
    answer.add_etag()
    answer.make_conditional(request)
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
