"""The shop's API: place an order, follow it, list, resend, cancel and erase."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from flask import current_app, g, request
from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import BadRequest, NotAcceptable, NotFound

from orderconfirm.confirmations import OrderConfirmations
from orderconfirm.errors import ContentDeleted, OutboxUnavailable
from orderconfirm.limits import MAX_IDEMPOTENCY_KEY_LENGTH, MAX_WAIT_SECONDS
from orderconfirm.models import Delivery, OutboxEntry, Resend, State
from orderconfirm.order.schemas import OrderSchema, ResendSchema
from orderconfirm.queries import Search
from orderconfirm.web import problem_types
from orderconfirm.web.auth import Authenticator
from orderconfirm.web.openapi import examples, parts
from orderconfirm.web.openapi.blueprint import Blueprint
from orderconfirm.web.problems import problem
from orderconfirm.web.request_schemas import SearchSchema
from orderconfirm.web.response_schemas import MailSchema, PageSchema, PlacedSchema, PreviewSchema, detail, summary

#: Longest Accept header that is evaluated; a longer one is ignored.
MAX_ACCEPT_LENGTH = 1000
#: Maximum callers that wait at the same time in one process. Each occupies a thread; half of the threads stay free for
#: orders.
MAX_WAITING = 16
_wait_slots = threading.BoundedSemaphore(MAX_WAITING)
_WAIT = re.compile(r"(?:^|,)\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?:,|;|$)", re.IGNORECASE)

_MESSAGES = {
    State.QUEUED: "Order confirmation queued",
    State.SENDING: "Order confirmation is being sent",
    State.SENT: "Order confirmation email sent",
    State.UNKNOWN: "The relay's reply was lost: the order confirmation will be sent again later",
    State.FAILED: "The order confirmation could not be sent",
    State.HELD: "The order confirmation is held",
    State.CANCELLED: "The order confirmation was cancelled",
    State.EXPIRED: "The order confirmation was not sent in time",
}

#: Characters not percent-encoded in an order's path.
_SAFE = "!$&'()*+,/:;=@"
_ORDER = OrderSchema()

bp = Blueprint("orders", __name__, url_prefix="/api", description="Order confirmations")


@bp.before_request
def authenticate() -> None:
    """Authenticate before reading the body. Refuse clients that do not accept JSON."""
    if request.method == "OPTIONS":
        return  # a CORS preflight; the key comes with the request itself
    authenticator: Authenticator = current_app.extensions["authenticator"]
    authenticator.authenticate()
    # A longer header costs too much to parse, and RFC 9110 section 12.5.1 allows ignoring it.
    is_short = len(request.headers.get("Accept", "")) <= MAX_ACCEPT_LENGTH
    if is_short and not _takes_json(request.accept_mimetypes):
        raise NotAcceptable(problem_types.NOT_ACCEPTABLE.detail)
    if "\0" in request.path:
        raise NotFound("An order id cannot contain a NUL character.")  # PostgreSQL refuses it in a query


@bp.post("/order-confirmation")
@bp.operation(
    *(
        *problem_types.BODY,
        problem_types.INVALID_ORDER,
        problem_types.ORDER_CONFLICT,
        problem_types.KEY_CONFLICT,
        problem_types.NOT_SENT,
    ),
    *(problem_types.UNAVAILABLE, problem_types.UNCONFIRMED, problem_types.FULL, *problem_types.ALWAYS),
    parameters=[parts.IDEMPOTENCY_KEY, parts.PREFER],
    responses={200: parts.LINKS, 202: parts.LINKS, 502: {"headers": parts.APPLIED}},
)
@bp.arguments(_ORDER, example=examples.ORDER)
@bp.response(
    202,
    PlacedSchema,
    description="The order is on disk. Its mail will be sent, or is held.",
    example=examples.QUEUED,
    headers=parts.APPLIED,
)
@bp.alt_response(
    200,
    schema=PlacedSchema,
    description="The order was accepted before. With `Prefer: wait`: the mail was sent; for a repeated order it may "
    "also be held or cancelled.",
    examples={
        "repeated": {"summary": "The same order again", "value": examples.REPEATED},
        "waited": {"summary": "With Prefer: wait", "value": examples.PLACED},
    },
    headers=parts.APPLIED,
)
def place_order(order: dict[str, Any]) -> Any:
    """Place an order.

    The same order again returns 200 and sends no second mail.
    """
    result = _confirmations().place(g.shop, order, _idempotency_key())
    entry = result.entry
    is_done = not result.is_new
    headers = {}
    waiting = None
    wait = _requested_wait()
    # A preference may be ignored (RFC 7240 section 2): without a free slot the request does not wait.
    if wait is not None and _wait_slots.acquire(blocking=False):
        try:
            with suppress(OutboxUnavailable):  # the order is stored, whether or not its outcome can be read
                entry = _confirmations().outcome(g.shop, entry.order_id, wait) or entry
                waiting = _confirmations().why_waiting([entry]).get(entry.id)
        finally:
            _wait_slots.release()
        headers = {"Preference-Applied": f"wait={wait}"}
        is_done = entry.state is State.SENT or (is_done and entry.state not in State.PENDING)
        if entry.state in State.NOT_SENT:
            reason = f": {entry.reason}" if entry.reason else ""  # purged with the order's content
            response = problem(problem_types.NOT_SENT, f"{_MESSAGES[entry.state]}{reason}.")
            response.headers.update(headers)
            return response
    message = _sent_before(result.entry) if result.entry.state is State.SENT else _MESSAGES[entry.state]
    body = {
        "status": "failed" if entry.state in State.NOT_SENT else "success",
        "message": f"{message}; {waiting}" if waiting else message,
        **summary(entry, _link(entry)),
        "warnings": list(result.warnings),
        "ignored_fields": g.ignored_fields,
    }
    return body, 200 if is_done else 202, headers


@bp.post("/order-confirmation/preview")
@bp.operation(*problem_types.BODY, problem_types.INVALID_ORDER, problem_types.TEMPLATE, *problem_types.ALWAYS)
@bp.arguments(_ORDER, example=examples.ORDER)
@bp.response(200, PreviewSchema, description="The mail.", example=examples.PREVIEW)
def preview_order(order: dict[str, Any]) -> Any:
    """Render the mail that an order would become.

    Nothing is stored or sent.
    """
    preview = _confirmations().preview(g.shop, order)
    email = preview.email
    return {
        "subject": email.subject,
        "text": email.text,
        "html": email.html,
        "size": {"text": len(email.text.encode()), "html": len(email.html.encode())},
        "warnings": list(preview.warnings),
        "ignored_fields": g.ignored_fields,
    }


@bp.get("/order-confirmations")
@bp.operation(problem_types.INVALID_REQUEST, problem_types.UNAVAILABLE, *problem_types.ALWAYS)
@bp.arguments(SearchSchema(), location="query")
@bp.response(200, PageSchema, description="A page of mails.", example=examples.PAGE)
def list_orders(query: dict[str, Any]) -> Any:
    """List mails, newest first."""
    search = Search(
        states=tuple(map(State, filter(None, query.get("state", "").split(",")))),
        deliveries=tuple(map(Delivery, filter(None, query.get("delivery", "").split(",")))),
        order_id=query.get("order_id"),
        recipient=query.get("email"),
        has_possible_copies=query.get("possible_copies", False),
        since=query.get("since"),
        until=query.get("until"),
    )
    entries, cursor = _confirmations().search(g.shop, search, query.get("cursor"), query["limit"])
    return {"orders": [summary(entry, _link(entry)) for entry in entries], "next_cursor": cursor}


@bp.get("/order-confirmation/<order_id:order_id>")
@bp.operation(problem_types.NOT_FOUND, problem_types.CONTENT_DELETED, problem_types.UNAVAILABLE, *problem_types.ALWAYS)
@bp.response(200, MailSchema, description="The mail and its history.", example=examples.DETAIL)
def show_order(order_id: str) -> Any:
    """Show an order's state, times, history and delivery events."""
    return _detail(_confirmations().status(g.shop, order_id), order_id)


@bp.post("/order-confirmation/<path:order_id>/resend")
@bp.operation(
    *(*problem_types.BODY, parts.BAD_RESEND, problem_types.NOT_FOUND, parts.IS_QUEUED, problem_types.KEY_CONFLICT),
    *(problem_types.CONTENT_DELETED, problem_types.UNAVAILABLE, problem_types.UNCONFIRMED, *problem_types.ALWAYS),
    parameters=[parts.IDEMPOTENCY_KEY],
)
@bp.arguments(ResendSchema(), required=False, example=examples.RESEND)
@bp.response(202, MailSchema, description="The new mail is on disk and will be sent.", example=examples.RESENT)
@bp.alt_response(
    200,
    schema=MailSchema,
    description="The same request used this Idempotency-Key before and is not carried out twice.",
    example=examples.RESENT,
)
def resend_order(changes: dict[str, Any], order_id: str) -> Any:
    """Send an order's confirmation again, as a new mail.

    It has a new Message-ID. A suppressed address is released.
    """
    result = _confirmations().resend(Resend(g.shop, order_id, **changes, idempotency_key=_idempotency_key()))
    if result is None:
        raise _unknown(order_id)
    entry: OutboxEntry | None = result.entry
    with suppress(OutboxUnavailable):  # the resend is stored, whether or not its history can be read
        entry = _confirmations().status(g.shop, order_id)
    return _detail(entry, order_id), 202 if result.is_new else 200


@bp.post("/order-confirmation/<path:order_id>/cancel")
@bp.operation(
    problem_types.NOT_FOUND,
    problem_types.WRONG_STATE,
    problem_types.CONTENT_DELETED,
    problem_types.UNAVAILABLE,
    problem_types.UNCONFIRMED,
    *problem_types.ALWAYS,
)
@bp.response(200, MailSchema, description="The mail will not be sent.", example=examples.CANCELLED)
def cancel_order(order_id: str) -> Any:
    """Cancel a mail before it is sent."""
    return _detail(_confirmations().cancel(g.shop, order_id), order_id)


@bp.delete("/order-confirmation/<order_id:order_id>")
@bp.operation(
    problem_types.NOT_FOUND,
    parts.IN_FLIGHT,
    problem_types.UNAVAILABLE,
    problem_types.UNCONFIRMED,
    *problem_types.ALWAYS,
)
@bp.response(204, description="The order's personal data is deleted.")
def erase_order(order_id: str) -> Any:
    """Erase an order's personal data.

    Its id stays known, so that a late replay sends no mail. A waiting mail is cancelled.
    """
    if not _confirmations().erase(g.shop, order_id):
        raise _unknown(order_id)


def _sent_before(entry: OutboxEntry) -> str:
    """Return the message for a repeated order whose mail was sent earlier."""
    when = "" if entry.is_erased else f", at {entry.changed_at.isoformat(timespec='seconds')}"
    return f"Order confirmation email was sent before{when}"


def _takes_json(accepted: MIMEAccept) -> bool:
    """Whether the client accepts JSON, with or without a charset parameter."""
    ours = ("application/json", problem_types.MIMETYPE)
    is_named = any(quality > 0 and mimetype.partition(";")[0] in ours for mimetype, quality in accepted)
    return not accepted or is_named or accepted.quality("application/json") > 0


def _confirmations() -> OrderConfirmations:
    confirmations: OrderConfirmations = current_app.extensions["orderconfirm"].confirmations
    return confirmations


def _detail(entry: OutboxEntry | None, order_id: str) -> dict[str, Any]:
    if entry is None:
        raise _unknown(order_id)
    if entry.is_erased:
        raise ContentDeleted(f"order {order_id} was erased")
    waiting, callbacks = None, []
    with suppress(OutboxUnavailable):  # what was asked for is done
        waiting = _confirmations().why_waiting([entry]).get(entry.id)
        callbacks = _confirmations().callbacks.of_order(entry.shop, entry.order_id)
    return detail(entry, waiting, callbacks, _link(entry))


def _unknown(order_id: str) -> NotFound:
    return NotFound(f"No order {order_id} was accepted.")


def _link(entry: OutboxEntry) -> str:
    # The path that werkzeug's url_for builds, in a tenth of the time.
    return f"{request.script_root}{bp.url_prefix}/order-confirmation/{quote(entry.order_id, safe=_SAFE)}"


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not 1 <= len(key) <= MAX_IDEMPOTENCY_KEY_LENGTH:
        raise BadRequest(f"Idempotency-Key must have 1 to {MAX_IDEMPOTENCY_KEY_LENGTH} characters.")
    return key


def _requested_wait() -> int | None:
    """Return the seconds of `Prefer: wait=N`. What cannot be parsed is ignored (RFC 7240)."""
    found = _WAIT.search(",".join(request.headers.getlist("Prefer")))
    return min(int(found[1]), MAX_WAIT_SECONDS) if found else None
