"""Strict parsing of request bodies and query strings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from flask import current_app, g, request
from gunicorn.http.errors import ParseException
from marshmallow import Schema, ValidationError
from werkzeug.exceptions import (
    BadRequest,
    ClientDisconnected,
    RequestEntityTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
)

from orderconfirm.errors import FieldError, InvalidOrder, InvalidRequest
from orderconfirm.order.json_body import InvalidJson, parse_json
from orderconfirm.order.schemas import DefaultCurrency, OrderSchema, field_errors, ignored_fields
from orderconfirm.web import problem_types


def parse_body(schema: Schema) -> Any:
    """Return the request's JSON body, loaded by `schema`, and set `g.ignored_fields` to pointers to unknown fields.

    Also set `g.order_id`, for the log, to whatever the body has there. Raises 400, 408, 413 or 415, and InvalidRequest
    for a body that is not valid. A schema with `is_optional` also takes a request without a body.
    """
    raw = raw_body()
    if not raw and getattr(schema, "is_optional", False):
        return {}
    if request.mimetype != "application/json" and not request.mimetype.endswith("+json"):
        raise UnsupportedMediaType(problem_types.UNSUPPORTED.detail)
    if (coding := request.content_encoding or "identity").lower() != "identity":
        raise UnsupportedMediaType(f"The body has the Content-Encoding {coding[:60]}: send it unencoded.")
    body = decode(raw)
    if not isinstance(body, Mapping):
        raise _invalid(schema, [FieldError("", "the body must be a JSON object")])
    g.order_id = body.get("order_id")
    g.ignored_fields = ignored_fields(schema, body)
    return _load(schema, body)


def parse_query(schema: Schema) -> Any:
    """Return the query parameters, loaded by `schema`. Raises InvalidRequest, also for repeated and empty ones."""
    errors = [
        FieldError(f"/{name[:60]}", "appears twice: send it once" if len(values) > 1 else "is empty: leave it out")
        for name, values in request.args.lists()
        if len(values) > 1 or values[0].strip() in ("", "-")
    ]
    if errors:
        raise InvalidRequest(errors)
    return _load(schema, request.args.to_dict())


def _load(schema: Schema, values: Mapping[str, Any]) -> Any:
    try:
        with DefaultCurrency(current_app.extensions["orderconfirm"].settings.default_currency):
            return schema.load(values)
    except ValidationError as exc:
        raise _invalid(schema, field_errors(exc.messages)) from None


def _invalid(schema: Schema, errors: list[FieldError]) -> InvalidRequest:
    return InvalidOrder(errors) if isinstance(schema, OrderSchema) else InvalidRequest(errors)


def raw_body() -> bytes:
    """Return the body as received. Raises 400, 408 or 413."""
    max_length = request.max_content_length or math.inf
    if request.content_length is None and request.max_content_length:
        # werkzeug silently truncates a body of unknown length. One more byte shows that it was too long.
        request.max_content_length += 1
    try:
        body = request.get_data(cache=False)
    except ParseException as exc:
        raise BadRequest("The body's chunked encoding is not valid (RFC 9112).") from exc
    except (ClientDisconnected, OSError) as exc:
        raise RequestTimeout(problem_types.REQUEST_TIMEOUT.detail) from exc
    if len(body) > max_length:
        raise RequestEntityTooLarge
    # werkzeug does not check that the server delivers as many bytes as Content-Length says.
    if len(body) < (request.content_length or 0):
        raise RequestTimeout(problem_types.REQUEST_TIMEOUT.detail)
    return body


def decode(body: bytes, is_strict: bool = True) -> Any:
    """Return the value of a JSON body, as `parse_json` does. Raises 400."""
    try:
        return parse_json(body, is_strict)
    except InvalidJson as exc:
        raise BadRequest(str(exc)) from exc
