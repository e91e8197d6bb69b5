"""Every failure as an RFC 9457 problem, made at this one place."""

from __future__ import annotations

import json
import logging
from typing import Any

from flask import Flask, Response
from werkzeug.exceptions import HTTPException, InternalServerError, MethodNotAllowed

from orderconfirm.errors import InvalidOrder, OrderConflict, OutboxFull, OutboxUnavailable, TemplateError

log = logging.getLogger(__name__)

#: Seconds after which a shop may try again when the outbox did not take its order, and when it was full.
RETRY_AFTER = 10
RETRY_AFTER_FULL = 60


def problem(status: int, name: str, title: str, detail: str, **members: Any) -> Response:
    """A problem+json answer; `name` makes its stable type, `members` are its further fields."""
    body = {"type": f"urn:orderconfirm:problem:{name}", "title": title, "status": status, "detail": detail, **members}
    return Response(json.dumps(body, ensure_ascii=False), status, mimetype="application/problem+json")


def init_app(app: Flask) -> None:
    """Translate every exception that leaves a view."""
    app.register_error_handler(InvalidOrder, _invalid_order)
    app.register_error_handler(OrderConflict, _order_conflict)
    app.register_error_handler(TemplateError, _template_error)
    app.register_error_handler(OutboxUnavailable, _outbox_unavailable)
    app.register_error_handler(OutboxFull, _outbox_full)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def _invalid_order(failure: InvalidOrder) -> Response:
    faults = [{"pointer": fault.pointer, "detail": fault.detail} for fault in failure.faults]
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return problem(422, "invalid-order", "The order is not valid", f"{count}; nothing was stored.", errors=faults)


def _order_conflict(failure: OrderConflict) -> Response:
    detail = f"The order id {failure.order_id} was accepted before with other content; that order stays as it is."
    errors = [{"pointer": pointer, "detail": "differs from the accepted order"} for pointer in failure.pointers]
    return problem(409, "order-conflict", "Another order has this id", detail, errors=errors)


def _template_error(failure: TemplateError) -> Response:
    log.error("a template failed", extra={"reason": str(failure)})
    return problem(500, "template-error", "A template of the mail fails", str(failure))


def _outbox_unavailable(failure: OutboxUnavailable) -> Response:
    log.error("the outbox is unavailable", extra={"reason": str(failure)})
    detail = "The order could not be stored. Send it again later, under the same order_id."
    answer = problem(503, "outbox-unavailable", "The outbox is unavailable", detail)
    answer.headers["Retry-After"] = str(RETRY_AFTER)
    return answer


def _outbox_full(failure: OutboxFull) -> Response:
    log.error("the outbox is full", extra={"reason": str(failure)})
    detail = "Too many mails wait already, so the order was not stored. Send it again later, under the same order_id."
    answer = problem(503, "outbox-full", "The outbox is full", detail)
    answer.headers["Retry-After"] = str(RETRY_AFTER_FULL)
    return answer


def _http_error(failure: HTTPException) -> Response:
    status = failure.code or 500
    name = failure.name.lower().replace(" ", "-")
    answer = problem(status, name, failure.name, failure.description or failure.name)
    if isinstance(failure, MethodNotAllowed) and failure.valid_methods:
        answer.headers["Allow"] = ", ".join(sorted(failure.valid_methods))
    return answer


def _unexpected(failure: Exception) -> Response:
    log.error("a request failed", exc_info=failure)
    return _http_error(InternalServerError("The service made a mistake; its log says which."))
