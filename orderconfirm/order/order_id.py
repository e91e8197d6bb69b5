"""The ids that an order may have. An order's id is part of its path in the API, so some ids cannot be used."""

from __future__ import annotations

import re

MAX_ORDER_ID_LENGTH = 128

#: Path segments that follow an order id, and the reserved segment used instead of one.
VERBS = ("cancel", "resend")
PREVIEW = "preview"
#: Ids whose path belongs to another route: /order-confirmation/preview, or the cancel or resend of another order. The
#: URL converter does not match them, and the schema refuses them.
RESERVED = rf"{PREVIEW}|.*/(?:{'|'.join(VERBS)})"

#: Reserved ids, and those whose path is changed on the way: clients and proxies resolve `.` and `..` and merge slashes.
_UNREACHABLE = re.compile(rf"/.*|{RESERVED}|(?:.*/)?\.\.?(?:/.*)?")


def is_reachable(order_id: str) -> bool:
    """Whether the path with this id leads to the order."""
    return _UNREACHABLE.fullmatch(order_id) is None
