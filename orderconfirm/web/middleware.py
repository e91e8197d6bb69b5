"""Request ids, and the security and cache headers of every response."""

from __future__ import annotations

import re
import time
from random import getrandbits

from flask import Flask, Response, g, request

from orderconfirm import tracing
from orderconfirm.logs import request_id
from orderconfirm.metrics import counters
from orderconfirm.metrics.table import METHODS, REQUEST_DURATION, REQUESTS, UNMATCHED
from orderconfirm.response_headers import DEFAULT_HEADERS, FIXED_HEADERS

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}\Z")


def init_app(app: Flask) -> None:
    app.before_request(_note_start)
    app.before_request(_set_request_id)
    app.before_request(_ignore_range)
    app.after_request(_count)  # registered first, so it runs last
    app.after_request(_finish_response)
    app.teardown_request(_clear_request_id)


def _note_start() -> None:
    g.began = time.perf_counter()


def _count(response: Response) -> Response:
    """Count and trace the response. Labels must not come from the client, who could invent new ones without end."""
    route = request.url_rule.rule if request.url_rule else UNMATCHED
    method = request.method if request.method in METHODS else "other"
    seconds, status = time.perf_counter() - g.began, response.status_code
    counters.observe(REQUEST_DURATION, seconds, (route, method))
    counters.add(REQUESTS, (route, method, str(status)))
    if route.startswith("/api/"):
        attributes = {"http.request.method": method, "http.route": route, "http.response.status_code": status}
        tracing.record(f"{method} {route}", request_id.get(), seconds, attributes, is_first=True)
    return response


def _set_request_id() -> None:
    """Take the caller's X-Request-ID if it is safe to log, otherwise generate one."""
    given = request.headers.get("X-Request-ID", "")
    request_id.set(given if _REQUEST_ID.match(given) else f"{getrandbits(128):032x}")  # noqa: S311 - an id, no secret


def _ignore_range() -> None:
    """Drop the Range header, as a server may (RFC 9110 section 14.2): no response is large enough to need it."""
    request.environ.pop("HTTP_RANGE", None)


def _finish_response(response: Response) -> Response:
    response.headers["X-Request-ID"] = request_id.get()
    response.headers.update(FIXED_HEADERS)
    for name, value in DEFAULT_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.pop("Accept-Ranges", None)
    if response.status_code == 204 or request.method == "OPTIONS":
        response.headers.pop("Content-Type", None)  # there is no body
    return response


def _clear_request_id(_: BaseException | None) -> None:
    request_id.set(None)
