"""URL converters of the routes."""

from __future__ import annotations

from werkzeug.routing import BaseConverter

from orderconfirm.order.order_id import RESERVED


class OrderIdConverter(BaseConverter):
    """An order id, which may contain slashes. It does not match a path that ends with a verb."""

    regex = f"(?!(?:{RESERVED})$)[^/].*?"
    part_isolating = False
