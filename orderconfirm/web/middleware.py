"""What every request and every answer has in common: an id, and what a browser may do with the answer."""

from __future__ import annotations

import re
from uuid import uuid4

from flask import Flask, Response, request

from orderconfirm.logs import request_id

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}\Z")


def init_app(app: Flask) -> None:
    app.before_request(_name_request)
    app.before_request(_want_all)
    app.after_request(_finish_answer)
    app.teardown_request(_forget_request)


def _name_request() -> None:
    """The caller's own X-Request-ID, if it is fit for a log, else one of ours."""
    given = request.headers.get("X-Request-ID", "")
    request_id.set(given if _REQUEST_ID.match(given) else uuid4().hex)


def _want_all() -> None:
    """Nothing here is large enough to be asked for in parts; a server may ignore that (RFC 9110 section 14.2)."""
    request.environ.pop("HTTP_RANGE", None)


def _finish_answer(answer: Response) -> Response:
    answer.headers["X-Request-ID"] = request_id.get()
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    answer.headers.setdefault("Cache-Control", "no-store")  # what says nothing itself is true this moment only
    answer.headers.pop("Accept-Ranges", None)
    if answer.status_code == 204 or request.method == "OPTIONS":
        answer.headers.pop("Content-Type", None)  # nothing has no type
    return answer


def _forget_request(_: BaseException | None) -> None:
    request_id.set(None)
