"""Orders in this service's own schema, signed by Standard Webhooks: for plugins, automations and glue code.

https://www.standardwebhooks.com
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orderconfirm.platforms.body_values import find, text
from orderconfirm.platforms.readings import Format, Found, Nothing
from orderconfirm.platforms.signatures import verify_standard


def read(_: str, body: Any, only_paid: bool) -> Found | Nothing:
    """Return the order: the body itself, or the `data` of an event. The shop decides when it sends it."""
    if text(body, "type") and isinstance(data := find(body, "data"), Mapping):
        return Found(data)
    return Found(body)


FORMAT = Format(
    name="standard",
    topic_header="webhook-topic",
    verify=verify_standard,
    read=read,
    where_to_find_it="the secret that the shop's code signs with",
    how_to_switch_on="see whether the shop's code still posts, and what it logs",
)
