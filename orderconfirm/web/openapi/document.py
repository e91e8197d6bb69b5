"""The API's documentation: an OpenAPI 3.1 document generated from the schemas, with Swagger UI and ReDoc."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

import flask_smorest
from flask import Blueprint, Flask, Response, abort, render_template, request, send_from_directory
from werkzeug.routing import PathConverter

from orderconfirm.order.order_id import MAX_ORDER_ID_LENGTH
from orderconfirm.order.schemas import AddressSchema
from orderconfirm.version import VERSION
from orderconfirm.web import api, problem_types, webhooks
from orderconfirm.web.openapi import field_schemas
from orderconfirm.web.openapi.blueprint import problem_response
from orderconfirm.web.response_schemas import ProblemSchema
from orderconfirm.web.url_converters import OrderIdConverter

bp = Blueprint("documentation", __name__, template_folder="../pages/templates")

#: Swagger UI and ReDoc add inline styles to the page, and ReDoc's search runs in a worker.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; worker-src blob:; font-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"
)
#: Package and path of each served file.
_ASSETS = {
    "swagger-ui.css": ("flask_swagger_ui", "dist/swagger-ui.css"),
    "swagger-ui-bundle.js": ("flask_swagger_ui", "dist/swagger-ui-bundle.js"),
}
_ASSET_MAX_AGE_SECONDS = 86400

_ORDER_ID: dict[str, object] = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_ORDER_ID_LENGTH,
    "description": "the shop's id for the order; slashes need not be escaped",
    "examples": ["ORD-12345"],
}


class DocumentedApi(flask_smorest.Api):  # type: ignore[misc]
    """flask-smorest's API without its default error response."""

    DEFAULT_ERROR_RESPONSE_NAME = None


@cache
def document() -> bytes:
    """Return the document as JSON. It depends on nothing but the version.

    Only the first call builds it, with an application of its own: most services are never asked for it.
    """
    app = Flask(__name__, static_folder=None)
    app.url_map.converters["order_id"] = OrderIdConverter
    app.json.sort_keys = False  # type: ignore[attr-defined]  # keep the order of the schemas
    app.config.update(
        API_TITLE="orderconfirm",
        API_VERSION=VERSION,
        OPENAPI_VERSION="3.1.0",
        API_SPEC_OPTIONS={
            "info": {"description": _description()},
            "components": {
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer"},
                    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                }
            },
            "security": [{"bearer": []}, {"key": []}],
        },
    )
    documented_api = DocumentedApi(app)
    for converter in (OrderIdConverter, PathConverter):
        documented_api.register_converter(converter, lambda _: _ORDER_ID)
    field_schemas.register(documented_api.ma_plugin.converter)
    components = documented_api.spec.components
    for unused in ("Error", "PaginationMetadata"):  # flask-smorest's own
        components.schemas.pop(unused)
    # Schemas that are referenced by name.
    components.schema("Problem", schema=ProblemSchema)
    components.schema("Address", schema=AddressSchema)
    # Problems that no documented operation returns.
    for problem_type in (problem_types.METHOD_NOT_ALLOWED, problem_types.CSRF_TOKEN):
        components.response(problem_type.name, problem_response([problem_type]))
    for blueprint in (api.bp, webhooks.bp):
        documented_api.register_blueprint(blueprint)
    return app.json.response(documented_api.spec.to_dict()).get_data()  # type: ignore[attr-defined, no-any-return]


def _description() -> str:
    """Return the document's introduction in Markdown, with a table of all problem types."""
    rows = [f"| `{each.name}` | {each.status} | {each.meaning} |" for each in problem_types.ALL]
    return "\n".join(
        (
            "Accepts shop orders and mails each customer a confirmation. An accepted order is never lost.",
            "",
            "Every failure is a problem (RFC 9457) with a stable `type`, `urn:orderconfirm:problem:…`.",
            "",
            "<details><summary>All types of problems</summary>",
            "",
            "| type | status | meaning |",
            "|---|---|---|",
            *rows,
            "",
            "</details>",
        )
    )


@bp.after_request
def set_content_security_policy(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = _POLICY
    return response


@bp.get("/openapi.json")
def openapi() -> Response:
    """Return the document, with an ETag."""
    response = Response(document(), mimetype="application/json")
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response


@bp.get("/docs")
def docs() -> str:
    """Show the document with Swagger UI."""
    return render_template(
        "documentation.html", styles=["swagger-ui.css"], scripts=["swagger-ui-bundle.js"], starter="docs.js"
    )


@bp.get("/redoc")
def redoc() -> str:
    """Show the document with ReDoc."""
    return render_template("documentation.html", styles=[], scripts=[], starter="redoc.js")


@bp.get("/docs/assets/<name>")
def asset(name: str) -> Response:
    if name not in _ASSETS:
        abort(404)
    package, path = _ASSETS[name]
    file = Path(str(files(package))) / path
    return send_from_directory(file.parent, file.name, max_age=_ASSET_MAX_AGE_SECONDS)
