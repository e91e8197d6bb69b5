"""Answers to what is not HTTP, which never reaches the application: problems all the same."""

from __future__ import annotations

import json

from gunicorn.http import errors


def refusal(exc: Exception, request_id: str) -> bytes:
    """The whole answer to a request that gunicorn's parser refused."""
    # Imported here: gunicorn's master reads this module too, and needs nothing of the application.
    from orderconfirm.web import problem_types

    if isinstance(exc, errors.LimitRequestLine):
        kind = problem_types.URI_TOO_LONG
    elif isinstance(exc, errors.LimitRequestHeaders):
        kind = problem_types.HEADERS_TOO_LARGE
    else:
        kind = problem_types.BAD_REQUEST
    is_bad = kind is problem_types.BAD_REQUEST
    detail = f"The request is not HTTP as RFC 9112 has it: {str(exc)[:200]}." if is_bad else kind.detail
    body = json.dumps({**kind.example, "detail": detail}).encode()
    head = (
        f"HTTP/1.1 {kind.status} {kind.title}",
        "Connection: close",
        f"Content-Type: {problem_types.MIMETYPE}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        f"X-Request-ID: {request_id}",
    )
    return "\r\n".join((*head, "", "")).encode() + body
