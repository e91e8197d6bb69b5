"""Strict parsing of request bodies and query strings."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import Decimal
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
from orderconfirm.order.schemas import DefaultCurrency, OrderSchema, field_errors, ignored_fields
from orderconfirm.web import problem_types

#: Decimal exponents beyond this are refused. A double ends at 308.
_MAX_EXPONENT = 1000
#: Digits of an integer that lenient parsing keeps.
_MAX_DIGITS = 40


class StrictParser(FlaskParser):
    """webargs' parser for flask-smorest, so that one schema both validates and documents an operation."""

    DEFAULT_UNKNOWN_BY_LOCATION = {"json": None, "query": None, "headers": None}

    def parse(self, *arguments: Any, **options: Any) -> Any:
        with DefaultCurrency(current_app.extensions["orderconfirm"].settings.default_currency):
            return super().parse(*arguments, **options)

    def load_json(self, req: Any, schema: Schema) -> Any:
        """Return the decoded body and set `g.ignored_fields` to the pointers of its unknown fields.

        Raises 400, 408, 413 or 415, and InvalidRequest for a body that is not an object.
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
        g.ignored_fields = ignored_fields(schema, body)
        return body

    def load_querystring(self, req: Any, schema: Schema) -> Any:
        """Return the query parameters. Raises InvalidRequest for repeated and for empty ones."""
        errors = [
            FieldError(f"/{name[:60]}", "appears twice: send it once" if len(values) > 1 else "is empty: leave it out")
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
        # webargs nests the messages under their location (json, query or headers).
        raise _invalid(schema, field_errors(next(iter(messages.values())))) from None


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
    """Parse strict JSON (RFC 8259) with numbers as `Decimal`. Raises 400.

    Without `is_strict`, everything with the form of JSON is accepted. Numbers become floats, and integers with too many
    digits become text.
    """
    hooks = _STRICT if is_strict else _LENIENT
    try:
        return json.loads(body.decode("utf-8-sig", "strict" if is_strict else "replace"), **hooks)
    except json.JSONDecodeError as exc:
        raise BadRequest(f"The body is not JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}.") from exc
    except UnicodeDecodeError as exc:
        raise BadRequest(f"The body is not UTF-8: byte {exc.start} is not valid.") from exc
    except RecursionError as exc:
        raise BadRequest("The body's JSON is nested too deep.") from exc
    except ArithmeticError as exc:
        raise BadRequest("The body has a number that is too large or too small.") from exc
    except ValueError as exc:
        # Python's message about integers of more than 4,300 digits advises the programmer, not the caller.
        reason = "a number has too many digits" if "digits" in str(exc) else str(exc)
        raise BadRequest(f"The body cannot be read: {reason}.") from exc


def _decimal(text: str) -> Decimal:
    """Return the number. Raises ArithmeticError for huge exponents: 1e999999999 written in digits would take 1 GB."""
    number = Decimal(text)
    if abs(number.adjusted()) > _MAX_EXPONENT:
        raise OverflowError(f"the exponent of {text[:60]} is too large")
    return number


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number (RFC 8259)")


def _integer_or_text(digits: str) -> int | str:
    return int(digits) if len(digits) < _MAX_DIGITS else digits[:_MAX_DIGITS]


def _object_with_unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object. Raises ValueError for repeated names, because RFC 8259 does not say which value counts."""
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        repeated = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the name {repeated[:60]!r} appears twice in one object")
    return members


_STRICT: dict[str, Any] = {
    "parse_float": _decimal,
    "parse_constant": _refuse_constant,
    "object_pairs_hook": _object_with_unique_names,
}
_LENIENT: dict[str, Any] = {"parse_int": _integer_or_text}
