"""Problem responses to requests that never reach the application, or that fail outside it."""

from __future__ import annotations

import json
import logging

from gunicorn.http import errors

from orderconfirm.metrics import counters
from orderconfirm.metrics.table import REQUESTS, UNMATCHED
from orderconfirm.response_headers import DEFAULT_HEADERS, FIXED_HEADERS

log = logging.getLogger(__name__)


def refusal(exc: Exception, request_id: str) -> bytes:
    """Log and return the complete HTTP response to a request for which the parser or the server raised `exc`."""
    # Imported here, because gunicorn's master imports this module and must not load the application.
    from orderconfirm.web import problem_types

    if not isinstance(exc, errors.ParseException):
        problem_type = problem_types.INTERNAL
    elif isinstance(exc, errors.LimitRequestLine):
        problem_type = problem_types.URI_TOO_LONG
    elif isinstance(exc, errors.LimitRequestHeaders):
        problem_type = problem_types.HEADERS_TOO_LARGE
    else:
        problem_type = problem_types.BAD_REQUEST
    counters.add(REQUESTS, (UNMATCHED, "other", str(problem_type.status)))
    values = {"request_id": request_id, "status": problem_type.status, "problem": problem_type.name}
    if problem_type is problem_types.INTERNAL:
        log.error("request failed", extra=values, exc_info=exc)
    else:
        log.info("request refused", extra={**values, "reason": type(exc).__name__})
    detail = problem_type.detail
    if problem_type is problem_types.BAD_REQUEST:
        detail = f"The request is not valid HTTP (RFC 9112): {str(exc)[:200]}."
    body = json.dumps({**problem_type.example, "detail": detail}).encode()
    head = (
        f"HTTP/1.1 {problem_type.status} {problem_type.title}",
        "Connection: close",
        f"Content-Type: {problem_types.MIMETYPE}",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in {**FIXED_HEADERS, **DEFAULT_HEADERS}.items()),
        f"X-Request-ID: {request_id}",
    )
    return "\r\n".join((*head, "", "")).encode() + body
