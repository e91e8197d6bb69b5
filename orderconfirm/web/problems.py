"""Error handlers: every exception becomes an RFC 9457 problem."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from typing import Any

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, InternalServerError, NotFound, RequestEntityTooLarge

from orderconfirm.errors import (
    ContentDeleted,
    InvalidOrder,
    InvalidRequest,
    KeyConflict,
    OrderConflict,
    OutboxFull,
    OutboxUnavailable,
    TemplateError,
    UnconfirmedWrite,
    WrongState,
)
from orderconfirm.web import problem_types
from orderconfirm.web.problem_types import ProblemType

log = logging.getLogger(__name__)

#: Maximum number of field errors in one response.
MAX_ERRORS = 100

_UNKNOWN_URL = "There is nothing at this URL; /docs describes the API."
_BY_STATUS = {problem_type.status: problem_type for problem_type in problem_types.DEFAULTS}


def problem(problem_type: ProblemType, detail: str, **members: Any) -> Response:
    """Return a problem+json response; `members` are added to its body. `access_log` logs its name and its pointers."""
    g.problem = problem_type.name or None
    g.error_pointers = [error["pointer"] for error in members.get("errors", ())] or None
    body = {
        "type": problem_type.type,
        "title": problem_type.title,
        "status": problem_type.status,
        "detail": detail,
        **members,
    }
    response = Response(json.dumps(body, ensure_ascii=False), problem_type.status, mimetype=problem_types.MIMETYPE)
    if problem_type.retry_after:
        response.headers["Retry-After"] = str(problem_type.retry_after)
    return response


def init_app(app: Flask) -> None:
    """Register a handler for every exception that a view may raise."""
    app.register_error_handler(InvalidRequest, _invalid_request)
    app.register_error_handler(OrderConflict, _order_conflict)
    app.register_error_handler(KeyConflict, lambda exc: problem(problem_types.KEY_CONFLICT, _sentence(exc)))
    app.register_error_handler(WrongState, lambda exc: problem(problem_types.WRONG_STATE, _sentence(exc)))
    app.register_error_handler(ContentDeleted, lambda exc: problem(problem_types.CONTENT_DELETED, _sentence(exc)))
    app.register_error_handler(TemplateError, _template_error)
    app.register_error_handler(OutboxUnavailable, _outbox_unavailable)
    app.register_error_handler(OutboxFull, _outbox_full)
    app.register_error_handler(UnconfirmedWrite, _unconfirmed_write)
    app.register_error_handler(RequestEntityTooLarge, _too_large)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected_error)


def _sentence(exc: Exception) -> str:
    text = str(exc)
    return f"{text[:1].upper()}{text[1:]}."


def _invalid_request(exc: InvalidRequest) -> Response:
    errors = [asdict(error) for error in exc.errors[:MAX_ERRORS]]
    count = "1 error" if len(exc.errors) == 1 else f"{len(exc.errors)} errors"
    if len(exc.errors) > MAX_ERRORS:
        count += f", of which {MAX_ERRORS} are listed"
    if isinstance(exc, InvalidOrder):
        return problem(problem_types.INVALID_ORDER, f"{count}; nothing was stored.", errors=errors)
    return problem(problem_types.INVALID_REQUEST, f"{count}; nothing was changed.", errors=errors)


def _order_conflict(exc: OrderConflict) -> Response:
    detail = f"An order with the id {exc.order_id} and different content was accepted before; it is unchanged."
    if not exc.pointers:
        detail += " Its content has been deleted, so the differences cannot be listed."
    errors = [{"pointer": pointer, "detail": "differs from the accepted order"} for pointer in exc.pointers]
    return problem(problem_types.ORDER_CONFLICT, detail, errors=errors)


def _too_large(_: RequestEntityTooLarge) -> Response:
    limit = (request.max_content_length or 0) >> 20
    return problem(problem_types.TOO_LARGE, f"The body is larger than {limit} MiB and was not read.")


def _template_error(exc: TemplateError) -> Response:
    log.error("a template failed", extra={"reason": str(exc)})
    return problem(problem_types.TEMPLATE, str(exc))


def _outbox_unavailable(exc: OutboxUnavailable) -> Response:
    log.error("the outbox is unavailable", extra={"reason": str(exc)})
    return problem(problem_types.UNAVAILABLE, problem_types.UNAVAILABLE.detail)


def _unconfirmed_write(exc: UnconfirmedWrite) -> Response:
    log.error("a write is unconfirmed", extra={"reason": str(exc)})
    return problem(problem_types.UNCONFIRMED, problem_types.UNCONFIRMED.detail)


def _outbox_full(exc: OutboxFull) -> Response:
    log.error("the outbox is full", extra={"reason": str(exc)})
    return problem(problem_types.FULL, problem_types.FULL.detail)


def _http_error(exc: HTTPException) -> Response:
    status = exc.code or 500
    problem_type = _BY_STATUS.get(status) or ProblemType("", status, exc.name, "", "")
    detail = exc.description or exc.name
    response = problem(problem_type, _UNKNOWN_URL if detail == NotFound.description else detail)
    for name, value in exc.get_headers():  # Allow, Retry-After, WWW-Authenticate
        if name != "Content-Type":
            response.headers[name] = value
    return response


def _unexpected_error(exc: Exception) -> Response:
    log.error("an unexpected error", exc_info=exc)
    return _http_error(InternalServerError(problem_types.INTERNAL.detail))
