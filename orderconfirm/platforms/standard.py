"""Orders in this service's own schema, signed by Standard Webhooks: for plugins, automations and glue code.

https://www.standardwebhooks.com
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orderconfirm.platforms.body_values import find, text
from orderconfirm.platforms.readings import Format, Found, Nothing, Unreadable
from orderconfirm.platforms.signatures import verify_standard


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: float) -> bool:
    return verify_standard(headers, body, secrets, now)


def read(_: str, body: Any, only_paid: bool) -> Found | Nothing:
    """Return the order: the body itself, or the `data` of an event. The shop decides when it sends it.

    Raises Unreadable.
    """
    if text(body, "type") and isinstance(data := find(body, "data"), Mapping):
        return Found(data)
    if not isinstance(body, Mapping):
        raise Unreadable("the body is not an object")
    return Found(body)


FORMAT = Format(
    name="standard",
    topic_header="webhook-topic",
    verify=verify,
    read=read,
    where_to_find_it="the secret that the shop's code signs with",
)
