"""What Mailtrap tells of sent mails: signed, several events at a time, each taken once.

Documentation: docs.mailtrap.io, Email API/SMTP, webhooks.
"""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Mapping, Sized
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from flask import current_app, request
from werkzeug.exceptions import BadRequest, NotFound

from orderconfirm.limits import MAX_WEBHOOK_BODY_BYTES
from orderconfirm.logs import printable
from orderconfirm.models import Delivery, RelayEvent
from orderconfirm.web import problem_types
from orderconfirm.web.openapi import examples
from orderconfirm.web.openapi.blueprint import Blueprint
from orderconfirm.web.problems import problem
from orderconfirm.web.request_parsing import decode, raw_body
from orderconfirm.web.response_schemas import ReceivedSchema

log = logging.getLogger(__name__)

bp = Blueprint("webhooks", __name__, url_prefix="/api/webhooks", description="What the relay tells")

#: Mailtrap sends at most 500 at a time, each with up to some kilobytes of a receiver's words.
MAX_EVENTS = 1000
#: A mail's number fits into the database's 64 bits.
_MAX_NUMBER = 2**63 - 1
_SECONDS_OF_3000 = 32_503_680_000
#: What Mailtrap's events mean; others are stored all the same.
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
    meaning="The service was given no signing secret.",
    detail="Set MAILTRAP_WEBHOOK_SECRET to the signing secret of the webhook.",
)
_SIGNATURE: dict[str, Any] = {
    "in": "header",
    "name": "Mailtrap-Signature",
    "required": True,
    "description": "HMAC-SHA256 of the raw body with the webhook's signing secret, in hexadecimal",
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
@bp.operation(
    *(
        problem_types.BAD_REQUEST,
        problem_types.REQUEST_TIMEOUT,
        problem_types.TOO_LARGE,
        problem_types.BAD_SIGNATURE,
        _NO_WEBHOOK,
    ),
    *(problem_types.URI_TOO_LONG, problem_types.MISDIRECTED, problem_types.HEADERS_TOO_LARGE, problem_types.INTERNAL),
    *(problem_types.UNAVAILABLE, problem_types.UNCONFIRMED),
    parameters=[_SIGNATURE],
    requestBody=_EVENTS,
    security=[],
)
@bp.response(200, ReceivedSchema, description="The events are on disk.", example=examples.RECEIVED)
def take_mailtrap_events() -> Any:
    """Take Mailtrap's delivery events.

    JSON with a list of events, or JSON Lines, up to 4 MiB. Events that came before count once; unknown ones are kept.
    """
    service = current_app.extensions["orderconfirm"]
    secret = service.settings.mailtrap_webhook_secret
    if not secret:
        raise NotFound(_NO_WEBHOOK.detail)
    request.max_content_length = MAX_WEBHOOK_BODY_BYTES
    body = raw_body()
    expected = hmac.new(secret.encode(), body, sha256).hexdigest()
    signature = request.headers.get("Mailtrap-Signature", "").strip().lower()
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        log.warning("a webhook without a valid signature: it does not have MAILTRAP_WEBHOOK_SECRET")
        return problem(problem_types.BAD_SIGNATURE, problem_types.BAD_SIGNATURE.detail)
    events, unreadable = _events(body)
    if unreadable:
        log.error("some of the relay's events cannot be read", extra={"events": unreadable})
    new = service.confirmations.record_events([_read(event) for event in events])
    return {"received": len(events), "new": new, "unreadable": unreadable}


def _events(body: bytes) -> tuple[list[Mapping[str, Any]], int]:
    """The events of a JSON body or of JSON Lines, and how many of them cannot be read.

    Raises 400 for a body that has none that can: one bad event must not hold back the others, for ever.
    """
    whole = _decoded(body)
    events = [event for event in whole if isinstance(event, Mapping)]
    if whole and not events:
        raise BadRequest("An event must be a JSON object.")
    return events, len(whole) - len(events)


def _decoded(body: bytes) -> list[Any]:
    """What should be events; a line that is not JSON is None."""
    try:
        whole = decode(body, is_strict=False)
    except BadRequest:
        lines = [line for line in body.split(b"\n") if line.strip()]
        if len(lines) < 2:
            raise
        _expect_no_more_than_taken(lines)  # before the work of reading them
        return [_decoded_line(line) for line in lines]
    inner = whole.get("events") if isinstance(whole, Mapping) else whole
    events = inner if isinstance(inner, list) else [whole]
    _expect_no_more_than_taken(events)
    return events


def _decoded_line(line: bytes) -> Any:
    try:
        return decode(line, is_strict=False)
    except BadRequest:
        return None


def _expect_no_more_than_taken(events: Sized) -> None:
    if len(events) > MAX_EVENTS:
        raise BadRequest(f"There are {len(events)} events: at most {MAX_EVENTS} are taken at a time.")


def _read(event: Mapping[str, Any]) -> RelayEvent:
    """An event as we keep it; what is missing or strange in it is no error."""
    raw = json.dumps(event, default=str, ensure_ascii=True)
    variables = event.get("custom_variables")
    named: Mapping[str, Any] = variables if isinstance(variables, Mapping) else {}
    return RelayEvent(
        event_id=_text(event.get("event_id"), 128) or sha256(raw.encode()).hexdigest(),
        event=_text(event.get("event"), 32) or "unknown",
        at=_moment(event.get("timestamp")),
        code=_number(event.get("response_code"), 999),
        text=_text(event.get("response") or event.get("reason"), 1000),
        delivery=_DELIVERIES.get(str(event.get("event"))),
        shop=_name(named.get("shop")),
        order_id=_name(named.get("order_id")),
        message_id=_name(named.get("message_id")),
        mail_id=_number(named.get("mail_id"), _MAX_NUMBER),
        address=_text(event.get("email"), 254),
        raw=raw,
    )


def _text(value: Any, longest: int) -> str | None:
    if not isinstance(value, str):
        return None
    return printable(value)[:longest] or None


def _name(value: Any) -> str | None:
    """A name of ours, every character as it was given out; what no database takes never stood in one."""
    if not isinstance(value, str):
        return None
    return value.replace("\0", "").encode("utf-8", "ignore").decode() or None


def _number(value: Any, largest: int) -> int | None:
    digits = str(value)
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= len(str(largest))
    return int(digits) if is_number and int(digits) <= largest else None


def _moment(timestamp: Any) -> datetime:
    """Seconds or milliseconds since 1970, or ISO 8601; a time that has not come, or that cannot be read, is now.

    The delivery is told by the newest event: one from the future would be the last for ever.
    """
    now = datetime.now(UTC)
    try:
        seconds = float(timestamp)
        told = datetime.fromtimestamp(seconds / 1000 if seconds > _SECONDS_OF_3000 else seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        told = _iso(timestamp) or now
    return min(told, now)


def _iso(timestamp: Any) -> datetime | None:
    try:
        told = datetime.fromisoformat(timestamp)
    except (TypeError, ValueError):
        return None
    return told if told.tzinfo else told.replace(tzinfo=UTC)
