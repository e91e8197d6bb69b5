"""Mailtrap's webhook: signed batches of delivery events.

Documentation: docs.mailtrap.io, Email API/SMTP, webhooks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sized
from dataclasses import replace
from hashlib import sha256
from typing import Any

from flask import current_app, request
from werkzeug.exceptions import BadRequest, NotFound

from orderconfirm.models import Delivery, RelayEvent
from orderconfirm.platforms.signatures import verify_hex
from orderconfirm.web import problem_types
from orderconfirm.web.openapi import examples
from orderconfirm.web.request_parsing import decode
from orderconfirm.web.response_schemas import ReceivedSchema
from orderconfirm.web.webhooks import values
from orderconfirm.web.webhooks.blueprint import PROBLEMS, bp
from orderconfirm.web.webhooks.receiving import signed_body, store_events

#: Mailtrap sends up to 500 events at a time, each with up to several kilobytes of the receiving server's text.
MAX_EVENTS = 1000
#: The meaning of Mailtrap's events for the mail. Other events are stored without a meaning.
_DELIVERIES = {
    "delivery": Delivery.DELIVERED,
    "soft bounce": Delivery.SOFT_BOUNCED,
    "bounce": Delivery.BOUNCED,
    "spam": Delivery.COMPLAINED,
    "reject": Delivery.REJECTED,
    "suspension": Delivery.SUSPENDED,
}
_NO_WEBHOOK = replace(
    problem_types.NOT_FOUND,
    meaning="`MAILTRAP_WEBHOOK_SECRET` is not set.",
    detail="Set MAILTRAP_WEBHOOK_SECRET to the signing secret of the webhook.",
)
_SIGNATURE: dict[str, Any] = {
    "in": "header",
    "name": "Mailtrap-Signature",
    "required": True,
    "description": "hexadecimal HMAC-SHA256 of the raw body, keyed with the webhook's signing secret",
    "schema": {"type": "string"},
}
_LIST: dict[str, Any] = {"type": "array", "items": {"type": "object"}, "maxItems": MAX_EVENTS}
_EVENTS: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"type": "object", "required": ["events"], "properties": {"events": _LIST}},
            "example": examples.EVENTS,
        },
        "application/jsonlines": {
            "schema": {**_LIST, "minItems": 1, "description": "each event on a line of its own"},
            "example": examples.EVENTS["events"],
        },
    },
}


@bp.post("/mailtrap")
@bp.operation(_NO_WEBHOOK, *PROBLEMS, parameters=[_SIGNATURE], requestBody=_EVENTS, security=[])
@bp.response(200, ReceivedSchema, description="The events are on disk.", example=examples.RECEIVED)
def take_mailtrap_events() -> Any:
    """Store Mailtrap's delivery events.

    The body is JSON with a list of events, or JSON Lines, up to 4 MiB. Repeated events count once; unknown ones are
    stored.
    """
    secret = current_app.extensions["orderconfirm"].settings.mailtrap_webhook_secret
    if not secret:
        raise NotFound(_NO_WEBHOOK.detail)
    signature = request.headers.get(_SIGNATURE["name"], "")
    refusal = "webhook without a valid signature: check MAILTRAP_WEBHOOK_SECRET"
    body = signed_body(lambda body: verify_hex(signature, body, [secret]), refusal)
    events, unreadable = read_events(body)
    return store_events([read_event(event) for event in events], unreadable)


def read_events(body: bytes) -> tuple[list[Mapping[str, Any]], int]:
    """Return the events of a JSON or JSON Lines body, and the number of unreadable ones.

    Mailtrap repeats a refused batch, so one bad event must not block the others. Raises 400 if none can be read.
    """
    found = _decoded(body)
    events = [event for event in found if isinstance(event, Mapping)]
    if found and not events:
        raise BadRequest("An event must be a JSON object.")
    return events, len(found) - len(events)


def _decoded(body: bytes) -> list[Any]:
    """Return the values that should be events, with None for a line that is not JSON."""
    try:
        whole = decode(body, is_strict=False)
    except BadRequest:
        lines = [line for line in body.split(b"\n") if line.strip()]
        if len(lines) < 2:
            raise
        _check_count(lines)  # before the lines are parsed
        return [_decoded_line(line) for line in lines]
    inner = whole.get("events") if isinstance(whole, Mapping) else whole
    events = inner if isinstance(inner, list) else [whole]
    _check_count(events)
    return events


def _decoded_line(line: bytes) -> Any:
    try:
        return decode(line, is_strict=False)
    except BadRequest:
        return None


def _check_count(events: Sized) -> None:
    if len(events) > MAX_EVENTS:
        raise BadRequest(f"There are {len(events)} events: send at most {MAX_EVENTS} at a time.")


def read_event(event: Mapping[str, Any]) -> RelayEvent:
    """Return an event as it is stored. Missing or malformed values are not errors."""
    raw = json.dumps(event, default=str, ensure_ascii=True)
    # These are the X-MT-Custom-Variables that smtp/sender.py sends: both must use the same names.
    variables = event.get("custom_variables")
    names: Mapping[str, Any] = variables if isinstance(variables, Mapping) else {}
    return RelayEvent(
        event_id=values.read_text(event.get("event_id"), 128) or sha256(raw.encode()).hexdigest(),
        event=values.read_text(event.get("event"), 32) or "unknown",
        at=values.read_time(event.get("timestamp")),
        code=values.read_number(event.get("response_code"), 999),
        text=values.read_text(event.get("response") or event.get("reason"), 1000),
        delivery=_DELIVERIES.get(str(event.get("event"))),
        shop=values.read_name(names.get("shop")),
        order_id=values.read_name(names.get("order_id")),
        message_id=values.read_name(names.get("message_id")),
        mail_id=values.read_number(names.get("mail_id"), values.MAX_ID),
        address=values.read_text(event.get("email"), 254),
        raw=raw,
        copy_of=values.read_number(names.get("copy_of"), values.MAX_ID),
    )
