"""Every failure as an RFC 9457 problem, made in one place."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from typing import Any

from flask import Flask, Response, request
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

#: An answer must not grow with a careless body.
MAX_ERRORS = 100

_NOTHING_HERE = "There is nothing at this address: /docs tells what there is."
#: By status, for failures that werkzeug raises: the first kind of each.
_HTTP = {kind.status: kind for kind in reversed(problem_types.EVERY)}


def problem(kind: ProblemType, detail: str, **members: Any) -> Response:
    """A problem+json answer; `members` are its further fields."""
    body = {"type": kind.type, "title": kind.title, "status": kind.status, "detail": detail, **members}
    answer = Response(json.dumps(body, ensure_ascii=False), kind.status, mimetype=problem_types.MIMETYPE)
    if kind.retry_after:
        answer.headers["Retry-After"] = str(kind.retry_after)
    return answer


def init_app(app: Flask) -> None:
    """Translate every exception that leaves a view."""
    app.register_error_handler(InvalidRequest, _invalid_request)
    app.register_error_handler(OrderConflict, _order_conflict)
    app.register_error_handler(KeyConflict, lambda failure: problem(problem_types.KEY_CONFLICT, _sentence(failure)))
    app.register_error_handler(WrongState, lambda failure: problem(problem_types.WRONG_STATE, _sentence(failure)))
    app.register_error_handler(
        ContentDeleted, lambda failure: problem(problem_types.CONTENT_DELETED, _sentence(failure))
    )
    app.register_error_handler(TemplateError, _template_error)
    app.register_error_handler(OutboxUnavailable, _outbox_unavailable)
    app.register_error_handler(OutboxFull, _outbox_full)
    app.register_error_handler(UnconfirmedWrite, _unconfirmed_write)
    app.register_error_handler(RequestEntityTooLarge, _too_large)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def _sentence(failure: Exception) -> str:
    words = str(failure)
    return f"{words[:1].upper()}{words[1:]}."


def _invalid_request(failure: InvalidRequest) -> Response:
    errors = [asdict(fault) for fault in failure.errors[:MAX_ERRORS]]
    count = "1 fault" if len(failure.errors) == 1 else f"{len(failure.errors)} faults"
    if len(failure.errors) > MAX_ERRORS:
        count += f", of which {MAX_ERRORS} are told"
    if isinstance(failure, InvalidOrder):
        return problem(problem_types.INVALID_ORDER, f"{count}; nothing was stored.", errors=errors)
    return problem(problem_types.INVALID_REQUEST, f"{count}; nothing was changed.", errors=errors)


def _order_conflict(failure: OrderConflict) -> Response:
    detail = f"The order id {failure.order_id} was accepted before with other content; that order stays as it is."
    if not failure.pointers:
        detail += " Its content is deleted since, so what differs cannot be named."
    errors = [{"pointer": pointer, "detail": "differs from the accepted order"} for pointer in failure.pointers]
    return problem(problem_types.ORDER_CONFLICT, detail, errors=errors)


def _too_large(_: RequestEntityTooLarge) -> Response:
    return problem(
        problem_types.TOO_LARGE,
        f"The body has more than {(request.max_content_length or 0) >> 20} MiB, and was not read.",
    )


def _template_error(failure: TemplateError) -> Response:
    log.error("a template failed", extra={"reason": str(failure)})
    return problem(problem_types.TEMPLATE, str(failure))


def _outbox_unavailable(failure: OutboxUnavailable) -> Response:
    log.error("the outbox is unavailable", extra={"reason": str(failure)})
    return problem(problem_types.UNAVAILABLE, problem_types.UNAVAILABLE.detail)


def _unconfirmed_write(failure: UnconfirmedWrite) -> Response:
    log.error("a write is not confirmed", extra={"reason": str(failure)})
    return problem(problem_types.UNCONFIRMED, problem_types.UNCONFIRMED.detail)


def _outbox_full(failure: OutboxFull) -> Response:
    log.error("the outbox is full", extra={"reason": str(failure)})
    return problem(problem_types.FULL, problem_types.FULL.detail)


def _http_error(failure: HTTPException) -> Response:
    status = failure.code or 500
    kind = _HTTP.get(status) or ProblemType("", status, failure.name, "", "")
    detail = failure.description or failure.name
    answer = problem(kind, _NOTHING_HERE if detail == NotFound.description else detail)
    for name, value in failure.get_headers():  # Allow, Retry-After, WWW-Authenticate
        if name != "Content-Type":
            answer.headers[name] = value
    return answer


def _unexpected(failure: Exception) -> Response:
    log.error("a request failed", exc_info=failure)
    return _http_error(InternalServerError(problem_types.INTERNAL.detail))
