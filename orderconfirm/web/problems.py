"""Every failure as an RFC 9457 problem: the list of them all, and the one place that makes them."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response
from werkzeug.exceptions import HTTPException, InternalServerError

from orderconfirm.errors import (
    ContentDeleted,
    InvalidOrder,
    KeyConflict,
    OrderConflict,
    OutboxFull,
    OutboxUnavailable,
    TemplateError,
    WrongState,
)

log = logging.getLogger(__name__)

MIMETYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of failure. Its type never changes; `retry_after` is in seconds."""

    name: str
    status: int
    title: str
    meaning: str
    retry_after: int | None = None

    @property
    def type(self) -> str:
        return f"urn:orderconfirm:problem:{self.name}"


BAD_REQUEST = Kind("bad-request", 400, "Bad Request", "The request cannot be read: what to change is in `detail`.")
UNAUTHORIZED = Kind("unauthorized", 401, "Unauthorized", "The API key is missing or wrong.")
BAD_SIGNATURE = Kind("bad-signature", 401, "The signature is wrong", "`Mailtrap-Signature` does not fit the body.")
NOT_FOUND = Kind("not-found", 404, "Not Found", "No such order, or no such page.")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "Method Not Allowed", "`Allow` names the methods there are.")
NOT_ACCEPTABLE = Kind("not-acceptable", 406, "Not Acceptable", "The answer is JSON, and `Accept` excludes it.")
ORDER_CONFLICT = Kind(
    "order-conflict", 409, "Another order has this id", "`errors` name what differs from the accepted order."
)
KEY_CONFLICT = Kind(
    "idempotency-conflict", 409, "Another body came with this key", "The Idempotency-Key belongs to another order."
)
WRONG_STATE = Kind("wrong-state", 409, "The mail is where this cannot be done", "`detail` says where it is.")
CONTENT_DELETED = Kind("content-deleted", 410, "The order's content is deleted", "There is nothing left to send.")
TOO_LARGE = Kind("content-too-large", 413, "Request Entity Too Large", "The body is larger than 1 MiB.")
UNSUPPORTED = Kind("unsupported-media-type", 415, "Unsupported Media Type", "The body is not application/json.")
INVALID_ORDER = Kind(
    "invalid-order", 422, "The order is not valid", "`errors` has one entry a fault, each with a JSON pointer."
)
TOO_MANY = Kind("too-many-requests", 429, "Too Many Requests", "Wait for `Retry-After` seconds.")
INTERNAL = Kind("internal-server-error", 500, "Internal Server Error", "A mistake of the service; its log says which.")
TEMPLATE = Kind("template-error", 500, "A template of the mail fails", "`detail` has its file, line and reason.")
NOT_SENT = Kind("not-sent", 502, "The order confirmation could not be sent", "`detail` has the relay's words.")
UNAVAILABLE = Kind(
    "outbox-unavailable", 503, "The outbox is unavailable", "Nothing was stored: send it again later.", retry_after=10
)
FULL = Kind("outbox-full", 503, "The outbox is full", "Nothing was stored: send it again later.", retry_after=60)

#: By status, for failures that werkzeug raises.
_HTTP = {
    kind.status: kind
    for kind in (
        *(BAD_REQUEST, UNAUTHORIZED, NOT_FOUND, METHOD_NOT_ALLOWED, NOT_ACCEPTABLE, TOO_LARGE, UNSUPPORTED, TOO_MANY),
        INTERNAL,
    )
}


def problem(kind: Kind, detail: str, **members: Any) -> Response:
    """A problem+json answer; `members` are its further fields."""
    body = {"type": kind.type, "title": kind.title, "status": kind.status, "detail": detail, **members}
    answer = Response(json.dumps(body, ensure_ascii=False), kind.status, mimetype=MIMETYPE)
    if kind.retry_after:
        answer.headers["Retry-After"] = str(kind.retry_after)
    return answer


def init_app(app: Flask) -> None:
    """Translate every exception that leaves a view."""
    app.register_error_handler(InvalidOrder, _invalid_order)
    app.register_error_handler(OrderConflict, _order_conflict)
    app.register_error_handler(KeyConflict, lambda failure: problem(KEY_CONFLICT, f"{failure}."))
    app.register_error_handler(WrongState, lambda failure: problem(WRONG_STATE, f"{failure}."))
    app.register_error_handler(ContentDeleted, lambda failure: problem(CONTENT_DELETED, f"{failure}."))
    app.register_error_handler(TemplateError, _template_error)
    app.register_error_handler(OutboxUnavailable, _outbox_unavailable)
    app.register_error_handler(OutboxFull, _outbox_full)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def _invalid_order(failure: InvalidOrder) -> Response:
    faults = [{"pointer": fault.pointer, "detail": fault.detail} for fault in failure.faults]
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return problem(INVALID_ORDER, f"{count}; nothing was stored.", errors=faults)


def _order_conflict(failure: OrderConflict) -> Response:
    detail = f"The order id {failure.order_id} was accepted before with other content; that order stays as it is."
    errors = [{"pointer": pointer, "detail": "differs from the accepted order"} for pointer in failure.pointers]
    return problem(ORDER_CONFLICT, detail, errors=errors)


def _template_error(failure: TemplateError) -> Response:
    log.error("a template failed", extra={"reason": str(failure)})
    return problem(TEMPLATE, str(failure))


def _outbox_unavailable(failure: OutboxUnavailable) -> Response:
    log.error("the outbox is unavailable", extra={"reason": str(failure)})
    return problem(UNAVAILABLE, "The order could not be stored. Send it again later, under the same order_id.")


def _outbox_full(failure: OutboxFull) -> Response:
    log.error("the outbox is full", extra={"reason": str(failure)})
    detail = "Too many mails wait already, so the order was not stored. Send it again later, under the same order_id."
    return problem(FULL, detail)


def _http_error(failure: HTTPException) -> Response:
    status = failure.code or 500
    kind = _HTTP.get(status) or Kind(failure.name.lower().replace(" ", "-"), status, failure.name, "")
    answer = problem(kind, failure.description or failure.name)
    for name, value in failure.get_headers():  # Allow, Retry-After, WWW-Authenticate
        if name != "Content-Type":
            answer.headers[name] = value
    return answer


def _unexpected(failure: Exception) -> Response:
    log.error("a request failed", exc_info=failure)
    return _http_error(InternalServerError("The service made a mistake; its log says which."))
