"""Orders in this service's own schema, signed by Standard Webhooks: for plugins, automations and glue code.

https://www.standardwebhooks.com
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orderconfirm.web.webhooks.body_values import find, text
from orderconfirm.web.webhooks.readings import Format, Outcome, Reading
from orderconfirm.web.webhooks.signatures import verify_standard


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: float) -> bool:
    return verify_standard(headers, body, secrets, now)


def read(_: Mapping[str, str], body: Any, only_paid: bool) -> Reading:
    """Return the order: the body itself, or the `data` of an event. The shop decides when it sends it."""
    if text(body, "type") and isinstance(data := find(body, "data"), Mapping):
        return Reading(Outcome.ORDER, order=data)
    return Reading(Outcome.ORDER, order=body if isinstance(body, Mapping) else {})


FORMAT = Format("standard", verify, read, "the secret that the shop's code signs with")
