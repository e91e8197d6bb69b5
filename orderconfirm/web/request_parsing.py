"""Request bodies and query strings: read strictly, their faults told as ours."""

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

#: Ten to this power is far beyond every double.
_MAX_EXPONENT = 1000


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
    """Strict JSON (RFC 8259), its numbers as `Decimal`. Raises 400.

    Without `is_strict` whatever has the form of JSON is taken, its numbers as floats, or as text where they are absurd.
    """
    hooks = _STRICT if is_strict else _LENIENT
    try:
        return json.loads(body.decode("utf-8-sig", "strict" if is_strict else "replace"), **hooks)
    except json.JSONDecodeError as exc:
        raise BadRequest(f"The body is not JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}.") from exc
    except UnicodeDecodeError as exc:
        raise BadRequest(f"The body is not UTF-8: byte {exc.start} does not fit.") from exc
    except RecursionError as exc:
        raise BadRequest("The body is not JSON that anyone means: it is nested too deep.") from exc
    except ArithmeticError as exc:
        raise BadRequest("The body has a number that is too large or too small to be read.") from exc
    except ValueError as exc:
        # Python's own advice on integers of more than 4300 digits is not for the shop.
        reason = "a number has too many digits" if "digits" in str(exc) else str(exc)
        raise BadRequest(f"The body cannot be read: {reason}.") from exc


def _decimal(text: str) -> Decimal:
    """A number whose digits can be written out: those of 1e999999999 would take 1 GB. Raises ArithmeticError."""
    number = Decimal(text)
    if abs(number.adjusted()) > _MAX_EXPONENT:
        raise OverflowError(f"{text[:60]} has too large an exponent")
    return number


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number (RFC 8259)")


def _absurd(digits: str) -> int | str:
    return int(digits) if len(digits) < 40 else digits[:40]


def _object_without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """RFC 8259 leaves open which of two equal names counts; an amount must not depend on that."""
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        double = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the name {double[:60]!r} stands twice in one object")
    return members


_STRICT: dict[str, Any] = {
    "parse_float": _decimal,
    "parse_constant": _refuse_constant,
    "object_pairs_hook": _object_without_doubles,
}
_LENIENT: dict[str, Any] = {"parse_int": _absurd}
