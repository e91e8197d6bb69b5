"""What Mailtrap tells of sent mails: signed, several events at a time, each taken once.

Documentation: docs.mailtrap.io, Email API/SMTP, webhooks.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator, Mapping, Sized
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from flask import current_app, request
from werkzeug.exceptions import BadRequest, NotFound

from orderconfirm.models import DeliveryEvent, RelayEvent
from orderconfirm.telemetry import printable
from orderconfirm.web import examples, kinds
from orderconfirm.web.answers import ReceivedSchema
from orderconfirm.web.blueprint import Blueprint
from orderconfirm.web.bodies import decode, raw_body
from orderconfirm.web.problems import problem

bp = Blueprint("webhooks", __name__, url_prefix="/api/webhooks", description="What the relay tells")

#: Mailtrap sends at most 500 at a time.
MOST_EVENTS = 1000
_SIGNATURE: dict[str, Any] = {
    "in": "header",
    "name": "Mailtrap-Signature",
    "required": True,
    "description": "HMAC-SHA256 of the raw body with the webhook's signing secret, in hexadecimal",
    "schema": {"type": "string"},
}
_LIST: dict[str, Any] = {"type": "array", "items": {"type": "object"}, "maxItems": MOST_EVENTS}
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
@bp.operation(
    *(kinds.BAD_REQUEST, kinds.REQUEST_TIMEOUT, kinds.TOO_LARGE, kinds.BAD_SIGNATURE, kinds.NOT_FOUND),
    *(kinds.INTERNAL, kinds.UNAVAILABLE),
    parameters=[_SIGNATURE],
    requestBody=_EVENTS,
    security=[],
)
@bp.response(200, ReceivedSchema, description="The events are on disk.", example=examples.RECEIVED)
def take_mailtrap_events() -> Any:
    """Take Mailtrap's delivery events.

    JSON with a list of events, or JSON Lines. Events that came before count once; unknown ones are kept.
    """
    service = current_app.extensions["orderconfirm"]
    secret = service.settings.mailtrap_webhook_secret
    if not secret:
        raise NotFound("Set MAILTRAP_WEBHOOK_SECRET to the signing secret of the webhook.")
    body = raw_body()
    expected = hmac.new(secret.encode(), body, sha256).hexdigest()
    signature = request.headers.get("Mailtrap-Signature", "").strip().lower()
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        return problem(kinds.BAD_SIGNATURE, kinds.BAD_SIGNATURE.detail)
    events = [_read(event) for event in _events(body)]
    return {"received": len(events), "new": service.orders.record_events(events)}


def _events(body: bytes) -> list[Mapping[str, Any]]:
    """The events of a JSON body or of JSON Lines. Raises 400."""
    events = list(_decoded(body))
    _expect_no_more_than_taken(events)
    if not all(isinstance(event, Mapping) for event in events):
        raise BadRequest("An event must be a JSON object.")
    return events


def _expect_no_more_than_taken(events: Sized) -> None:
    if len(events) > MOST_EVENTS:
        raise BadRequest(f"There are {len(events)} events: at most {MOST_EVENTS} are taken at a time.")


def _decoded(body: bytes) -> Iterator[Any]:
    try:
        whole = decode(body)
    except BadRequest:
        lines = [line for line in body.split(b"\n") if line.strip()]
        if len(lines) < 2:
            raise
        _expect_no_more_than_taken(lines)  # before the work of reading them
        yield from map(decode, lines)
        return
    if isinstance(whole, Mapping) and isinstance(whole.get("events"), list):
        yield from whole["events"]
    else:
        yield whole


def _read(event: Mapping[str, Any]) -> RelayEvent:
    """An event as we keep it; what is missing or strange in it is no error."""
    raw = json.dumps(event, default=str, ensure_ascii=True)
    variables = event.get("custom_variables")
    named: Mapping[str, Any] = variables if isinstance(variables, Mapping) else {}
    code = event.get("response_code")
    return RelayEvent(
        DeliveryEvent(
            event_id=_text(event.get("event_id"), 128) or sha256(raw.encode()).hexdigest(),
            event=_text(event.get("event"), 32) or "unknown",
            at=_moment(event.get("timestamp")),
            code=int(code) if isinstance(code, int) and 0 <= code < 1000 else None,
            text=_text(event.get("response") or event.get("reason"), 1000),
        ),
        shop=_text(named.get("shop"), 64),
        order_id=_text(named.get("order_id"), 128),
        message_id=_text(named.get("message_id"), 255),
        address=_text(event.get("email"), 254),
        raw=raw,
    )


def _text(value: Any, longest: int) -> str | None:
    if not isinstance(value, str):
        return None
    return printable(value)[:longest] or None


def _moment(timestamp: Any) -> datetime:
    try:
        return datetime.fromtimestamp(float(timestamp), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return datetime.now(UTC)
