"""The shop's way in: place an order, ask what became of it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request, url_for
from werkzeug.exceptions import BadRequest, NotFound, UnsupportedMediaType

from orderconfirm.models import DEFAULT_SHOP, OutboxEntry, State
from orderconfirm.orders import Orders
from orderconfirm.web.schemas import OrderSchema, load_order

bp = Blueprint("api", __name__, url_prefix="/api/order-confirmation")

_MESSAGES = {
    State.QUEUED: "Order confirmation queued",
    State.SENDING: "Order confirmation is being sent",
    State.SENT: "Order confirmation email sent",
    State.UNKNOWN: "The relay's answer was lost: the order confirmation is sent again later",
    State.FAILED: "The order confirmation could not be sent",
    State.HELD: "The order confirmation is held",
    State.CANCELLED: "The order confirmation was cancelled",
    State.EXPIRED: "The order confirmation was not sent in time",
}


@bp.post("")
def place_order() -> tuple[Response, int]:
    """202 for an order that is on disk now, 200 for one that was there already."""
    schema: OrderSchema = current_app.extensions["order_schema"]
    order, ignored = load_order(schema, _json_body())
    placed = _orders().place(DEFAULT_SHOP, order)
    answer = {
        "status": "success",
        "message": _MESSAGES[placed.entry.state],
        **_summary(placed.entry),
        "warnings": list(placed.warnings),
        "ignored_fields": ignored,
    }
    return jsonify(answer), 202 if placed.is_new else 200


@bp.post("/preview")
def preview_order() -> Response:
    """The mail that this order would become. Nothing is stored, nothing is sent."""
    schema: OrderSchema = current_app.extensions["order_schema"]
    order, ignored = load_order(schema, _json_body())
    preview = _orders().preview(order)
    email = preview.email
    return jsonify(
        {
            "subject": email.subject,
            "text": email.text,
            "html": email.html,
            "size": {"text": len(email.text.encode()), "html": len(email.html.encode())},
            "warnings": list(preview.warnings),
            "ignored_fields": ignored,
        }
    )


@bp.get("/<path:order_id>")
def show_order(order_id: str) -> Response:
    """The order's state, times and history, with the relay's own words."""
    entry = _orders().status(DEFAULT_SHOP, order_id)
    if entry is None:
        raise NotFound(f"No order {order_id} was ever accepted.")
    return jsonify({**_summary(entry), **_details(entry)})


def _orders() -> Orders:
    orders: Orders = current_app.extensions["orderconfirm"].orders
    return orders


def _summary(entry: OutboxEntry) -> dict[str, Any]:
    return {
        "order_id": entry.order_id,
        "state": entry.state,
        "message_id": entry.message_id,
        "accepted_at": entry.accepted_at.isoformat(),
        "links": {"self": url_for("api.show_order", order_id=entry.order_id)},
    }


def _details(entry: OutboxEntry) -> dict[str, Any]:
    is_moving = entry.state in (State.QUEUED, State.UNKNOWN)
    return {
        "changed_at": entry.changed_at.isoformat(),
        "due_at": entry.due_at.isoformat() if is_moving else None,
        "attempts": entry.attempts,
        "possible_copies": entry.possible_copies,
        "reason": entry.reason,
        "history": [
            {
                "at": each.at.isoformat(),
                "event": each.event,
                "state": each.state,
                "stage": each.stage,
                "code": each.code,
                "text": each.text,
                "seconds": round(each.seconds, 3) if each.seconds is not None else None,
            }
            for each in entry.history
        ],
    }


def _json_body() -> Any:
    """The decoded body, its numbers as `Decimal`. Raises 415 for another type, 400 for what is not JSON."""
    if request.mimetype != "application/json" and not request.mimetype.endswith("+json"):
        raise UnsupportedMediaType("Send the order as JSON, with the header Content-Type: application/json.")
    try:
        return json.loads(
            request.get_data(cache=False).decode("utf-8-sig"),
            parse_float=Decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object_without_doubles,
        )
    except json.JSONDecodeError as wrong:
        raise BadRequest(f"The body is not JSON: {wrong.msg} at line {wrong.lineno}, column {wrong.colno}.") from wrong
    except UnicodeDecodeError as wrong:
        raise BadRequest(f"The body is not UTF-8: byte {wrong.start} does not fit.") from wrong
    except RecursionError as wrong:
        raise BadRequest("The body is not JSON that anyone means: it is nested too deep.") from wrong
    except ArithmeticError as wrong:
        raise BadRequest("The body has a number that is too large or too small to be read.") from wrong
    except ValueError as wrong:
        # Python's own advice on integers of more than 4300 digits is not for the shop.
        reason = "a number has too many digits" if "digits" in str(wrong) else str(wrong)
        raise BadRequest(f"The body cannot be read: {reason}.") from wrong


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number (RFC 8259)")


def _object_without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """RFC 8259 leaves open which of two equal names counts; an amount must not depend on that."""
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        double = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the name {double[:60]!r} stands twice in one object")
    return members
