"""Parts of the document that order operations share: headers, links, and problems with fitting examples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orderconfirm.errors import FieldError
from orderconfirm.limits import MAX_IDEMPOTENCY_KEY_LENGTH, MAX_WAIT_SECONDS
from orderconfirm.web import problem_types

IDEMPOTENCY_KEY: dict[str, Any] = {
    "in": "header",
    "name": "Idempotency-Key",
    "description": "any text that identifies this request; kept as long as the order's content",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY_LENGTH},
}
PREFER: dict[str, Any] = {
    "in": "header",
    "name": "Prefer",
    "description": f"`wait=N` waits up to N seconds (at most {MAX_WAIT_SECONDS}) for the outcome (RFC 7240); "
    "the response then has `Preference-Applied`",
    "schema": {"type": "string"},
    "example": "wait=10",
}
APPLIED: dict[str, Any] = {
    "Preference-Applied": {"description": "`wait=N`, if the caller waited", "schema": {"type": "string"}}
}
#: Problem types with examples that fit one operation.
BAD_RESEND = replace(
    problem_types.INVALID_REQUEST, errors=(FieldError("/emial", "is unknown: a resend has only email and reason"),)
)
IS_QUEUED = replace(problem_types.WRONG_STATE, detail="The order's newest mail is queued: it is sent without a resend.")
IN_FLIGHT = replace(problem_types.WRONG_STATE, detail="Its mail is being sent: try again in a minute.")
#: Links to the operations on a placed order.
LINKS: dict[str, Any] = {
    "links": {
        operation: {"operationId": operation, "parameters": {"order_id": "$response.body#/order_id"}}
        for operation in ("show_order", "resend_order", "cancel_order", "erase_order")
    }
}
