"""A log line for each request, by which the X-Request-ID of any response leads to its cause."""

from __future__ import annotations

import logging
import time
from typing import Any

from flask import Flask, Response, g
from flask.globals import request_ctx

from orderconfirm.order.order_id import MAX_ORDER_ID_LENGTH

log = logging.getLogger(__name__)

_EVENTS = {4: "request refused", 5: "request failed"}
#: Methods that change nothing, and the route that most requests use.
_READING = ("GET", "HEAD", "OPTIONS")
_PLACE_ORDER = "/api/order-confirmation"


def init_app(app: Flask) -> None:
    app.after_request(_log)


def _log(response: Response) -> Response:
    request, status = request_ctx.request, response.status_code  # the proxies take a microsecond at each use
    route = request.url_rule.rule if request.url_rule else None
    level = _level(request.method, route, status)
    if log.isEnabledFor(level):
        values = {
            "order_id": _order_id(request.view_args or g),
            "shop": g.get("shop"),
            "method": request.method,
            "route": route,  # never the path, which may contain anything
            "status": status,
            "duration_ms": round((time.perf_counter() - g.began) * 1000, 1),
            "problem": g.get("problem"),
            "errors": g.get("error_pointers"),
        }
        log.log(level, _EVENTS.get(status // 100, "request handled"), extra=values)
    return response


def _level(method: str, route: str | None, status: int) -> int:
    """Return the line's level: debug for what succeeds all the time, because a line costs time.

    An accepted order has a line when its mail is sent.
    """
    is_usual = method in _READING or route == _PLACE_ORDER
    return logging.DEBUG if status < 400 and is_usual else logging.INFO


def _order_id(source: Any) -> str | None:
    """Return the id in the path's arguments, or in the body of an order, if it can be one."""
    order_id = source.get("order_id")
    return order_id if isinstance(order_id, str) and len(order_id) <= MAX_ORDER_ID_LENGTH else None
