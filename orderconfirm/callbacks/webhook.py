"""A callback as a Standard Webhook: its body, and its headers with the signatures.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

from standardwebhooks import Webhook

from orderconfirm.outbox.callback_queue import ClaimedCallback
from orderconfirm.version import VERSION

#: Characters of an order id that stand in a path as they are.
_SAFE = "!$&'()*+,/:;=@"


def body_of(callback: ClaimedCallback) -> str:
    """Return the body, which is the same in each attempt. Nothing in it is about a person."""
    data = {
        "shop": callback.shop,
        "order_id": callback.order_id,
        "revision": callback.revision,
        "message_id": callback.message_id,
        "state": callback.mail_state,
        "delivery": callback.delivery,
        "reason": callback.cause,
        "code": callback.code,
        "accepted_at": callback.accepted_at.isoformat(),
        "links": {"self": f"/api/order-confirmation/{quote(callback.order_id, safe=_SAFE)}"},
    }
    event = {"type": f"order_confirmation.{callback.event}", "timestamp": callback.at.isoformat(), "data": data}
    return json.dumps(event, separators=(",", ":"))


def headers_of(callback: ClaimedCallback, body: str, secrets: Sequence[str], now: datetime) -> dict[str, str]:
    """Return the headers of an attempt at `now` (UTC), signed with each of the secrets."""
    return {
        "content-type": "application/json",
        "user-agent": f"orderconfirm/{VERSION}",
        "webhook-id": callback.webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(callback.webhook_id, now, body) for secret in secrets),
    }
