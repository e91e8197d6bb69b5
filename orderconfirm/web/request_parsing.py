"""Request bodies and query strings: read strictly, their faults told as ours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NoReturn

from flask import current_app, g, request
from gunicorn.http.errors import ParseException
from marshmallow import Schema, ValidationError
from webargs.flaskparser import FlaskParser
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


class StrictParser(FlaskParser):
    """What flask-smorest reads arguments with: its documentation and our validation are one thing."""

    DEFAULT_UNKNOWN_BY_LOCATION = {"json": None, "query": None, "headers": None}

    def parse(self, *arguments: Any, **options: Any) -> Any:
        with DefaultCurrency(current_app.extensions["orderconfirm"].settings.default_currency):
            return super().parse(*arguments, **options)

    def load_json(self, req: Any, schema: Schema) -> Any:
        """The decoded body. Raises 400, 408, 413 or 415; leaves the pointers of ignored fields in `g`."""
        raw = raw_body()
        if not raw and getattr(schema, "is_optional", False):
            return {}
        if request.mimetype != "application/json" and not request.mimetype.endswith("+json"):
            raise UnsupportedMediaType(problem_types.UNSUPPORTED.detail)
        if (coding := request.content_encoding or "identity").lower() != "identity":
            raise UnsupportedMediaType(f"The body has the Content-Encoding {coding[:60]}: send it as it is.")
        body = decode(raw)
        if not isinstance(body, Mapping):
            raise _failure(schema, [FieldError("", "the body must be a JSON object")])
        g.ignored_fields = ignored_fields(schema, body)
        return body

    def load_querystring(self, req: Any, schema: Schema) -> Any:
        """The query. Raises InvalidRequest for a name that stands twice, or says nothing: it would be ignored."""
        errors = [
            FieldError(
                f"/{name[:60]}", "stands twice: send it once" if len(values) > 1 else "says nothing: leave it out"
            )
            for name, values in request.args.lists()
            if len(values) > 1 or values[0].strip() in ("", "-")
        ]
        if errors:
            raise InvalidRequest(errors)
        return request.args.to_dict()

    def handle_error(
        self, error: ValidationError, req: Any, schema: Schema, *, error_status_code: Any, error_headers: Any
    ) -> NoReturn:
        messages: Any = error.messages
        # webargs puts the place (json, query, headers) around what is wrong there.
        raise _failure(schema, field_errors(next(iter(messages.values())))) from None


def _failure(schema: Schema, errors: list[FieldError]) -> InvalidRequest:
    return InvalidOrder(errors) if isinstance(schema, OrderSchema) else InvalidRequest(errors)


def raw_body() -> bytes:
    """The body as it came. Raises 400, 408 or 413."""
    most = request.max_content_length or math.inf
    if request.content_length is None and request.max_content_length:
        request.max_content_length += 1  # werkzeug cuts what is too long without a word: one byte tells
    try:
        body = request.get_data(cache=False)
    except ParseException as exc:
        raise BadRequest("The body's chunks are not as RFC 9112 has them.") from exc
    except (ClientDisconnected, OSError) as exc:
        raise RequestTimeout(problem_types.REQUEST_TIMEOUT.detail) from exc
    if len(body) > most:
        raise RequestEntityTooLarge
    # werkzeug does not count what the server hands out of a body of known length.
    if len(body) < (request.content_length or 0):
        raise RequestTimeout(problem_types.REQUEST_TIMEOUT.detail)
    return body


def decode(body: bytes, is_strict: bool = True) -> Any:
    """Return the value of a JSON body, as `parse_json` does. Raises 400."""
    try:
        return parse_json(body, is_strict)
    except InvalidJson as exc:
        raise BadRequest(str(exc)) from exc
