"""Steps that several webhooks share: receiving a signed body, and storing a provider's delivery events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from flask import abort, current_app, request

from orderconfirm.limits import MAX_WEBHOOK_BODY_BYTES
from orderconfirm.models import RelayEvent
from orderconfirm.web import problem_types
from orderconfirm.web.auth import Authenticator
from orderconfirm.web.problems import problem
from orderconfirm.web.request_parsing import raw_body

log = logging.getLogger(__name__)


def signed_body(is_signed: Callable[[bytes], bool], refusal: str) -> bytes:
    """Return the request's body if `is_signed` accepts it, otherwise log `refusal` and abort with 401.

    Raises 400, 408 or 413 if the body cannot be read.
    """
    request.max_content_length = MAX_WEBHOOK_BODY_BYTES
    body = raw_body()
    if not is_signed(body):
        authenticator: Authenticator = current_app.extensions["authenticator"]
        authenticator.note_wrong_secret(refusal)
        abort(problem(problem_types.BAD_SIGNATURE, problem_types.BAD_SIGNATURE.detail))
    return body


def store_events(events: Sequence[RelayEvent], unreadable: int) -> dict[str, Any]:
    """Store a provider's events and return the response, in the form of ReceivedSchema.

    `unreadable` is how many others could not be read. Raises OutboxUnavailable.
    """
    if unreadable:
        log.error("some delivery events cannot be read", extra={"events": unreadable})
    new = current_app.extensions["orderconfirm"].confirmations.record_events(events)
    return {"received": len(events), "new": new, "unreadable": unreadable}
