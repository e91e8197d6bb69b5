"""The documented examples of all request and response bodies, for one order."""

from __future__ import annotations

import json
from typing import Any

from orderconfirm.settings import ROOT

Example = dict[str, Any]

ORDER: Example = json.loads((ROOT / "examples" / "order.json").read_text(encoding="utf-8"))

_SUMMARY: Example = {
    "order_id": "ORD-12345",
    "state": "queued",
    "delivery": None,
    "reason": None,
    "revision": 0,
    "message_id": "<3f2a9c0d1b7e4f6a8c5d2e1f0a9b8c7d@shop.example>",
    "email": "john.doe@example.com",
    "accepted_at": "2025-03-15T14:30:02.104000+00:00",
    "links": {"self": "/api/order-confirmation/ORD-12345"},
}
_SENT: Example = {**_SUMMARY, "state": "sent"}
_SENT_EVENT: Example = {
    "at": "2025-03-15T14:30:02.351000+00:00",
    "revision": 0,
    "event": "sent",
    "state": "sent",
    "stage": "end_of_data",
    "code": 250,
    "text": "2.0.0 Ok: queued",
    "seconds": 0.142,
}
#: Fields of a history event that quote the relay's reply.
_REPLY_FIELDS = ("stage", "code", "text", "seconds")
_NO_WARNINGS: Example = {"warnings": [], "ignored_fields": []}

QUEUED: Example = {"status": "success", "message": "Order confirmation queued", **_SUMMARY, **_NO_WARNINGS}
REPEATED: Example = {
    "status": "success",
    "message": "Order confirmation email was sent before, at 2025-03-15T14:30:02+00:00",
    **_SENT,
    **_NO_WARNINGS,
}
PLACED: Example = {"status": "success", "message": "Order confirmation email sent", **_SENT, **_NO_WARNINGS}
DETAIL: Example = {
    **_SENT,
    "delivery": "delivered",
    "waiting": None,
    "changed_at": "2025-03-15T14:30:02.351000+00:00",
    "due_at": None,
    "attempts": 1,
    "possible_copies": 0,
    "request_id": "8c1e5f0b2d4a4c6f9e7b3a1d5c8f0e2b",
    "earlier_mails": [],
    "history": [_SENT_EVENT],
    "deliveries": [
        {
            "event_id": "8a1e2c6e-0c1f-4f0e-9d0d-6b2d7c1f5a3b",
            "revision": 0,
            "event": "delivery",
            "at": "2025-03-15T14:30:09+00:00",
            "code": 250,
            "text": "250 2.0.0 OK",
        }
    ],
    "merchant_copy": None,
    "callbacks": [],
}
_RESENT_AT = "2025-03-16T09:12:40.730000+00:00"
RESEND: Example = {"email": "john.doe@example.org", "reason": "the customer mistyped it"}
RESENT: Example = {
    **DETAIL,
    "state": "queued",
    "delivery": None,
    "message_id": "<b81d7f2e4c6a49d0a3f5e7c9d1b2a4f6@shop.example>",
    "email": RESEND["email"],
    "waiting": "it is sent next",
    "accepted_at": _RESENT_AT,
    "revision": 1,
    "changed_at": _RESENT_AT,
    "due_at": _RESENT_AT,
    "attempts": 0,
    "earlier_mails": [{**_SENT, "delivery": "delivered"}],
    "history": [
        _SENT_EVENT,
        {
            "at": _RESENT_AT,
            "revision": 1,
            "event": "resent",
            "state": "queued",
            "stage": None,
            "code": None,
            "text": RESEND["reason"],
            "seconds": None,
        },
    ],
}
CANCELLED: Example = {
    **DETAIL,
    "state": "cancelled",
    "delivery": None,
    "attempts": 0,
    "history": [{**_SENT_EVENT, "event": "cancelled", "state": "cancelled", **dict.fromkeys(_REPLY_FIELDS)}],
    "deliveries": [],
}
PAGE: Example = {"orders": [_SENT], "next_cursor": "1742049002.104_4711"}
PREVIEW: Example = {
    "subject": "Order ORD-12345 confirmed",
    "text": "Our Shop\n\nThank you for your order\n\nHello John Doe,\n…",
    "html": '<!DOCTYPE html><html lang="en" dir="ltr">…</html>',
    "size": {"text": 1094, "html": 9806},
    **_NO_WARNINGS,
}
EVENTS: Example = {
    "events": [
        {
            "event": "delivery",
            "event_id": "8a1e2c6e-0c1f-4f0e-9d0d-6b2d7c1f5a3b",
            "email": "john.doe@example.com",
            "timestamp": 1742049009,
            "response": "250 2.0.0 OK",
            "response_code": 250,
            "custom_variables": {
                "order_id": "ORD-12345",
                "shop": "default",
                "message_id": _SUMMARY["message_id"],
                "mail_id": "4711",
            },
        }
    ]
}
RECEIVED: Example = {"received": 1, "new": 1, "unreadable": 0}

#: What a shop's platform posts; here WooCommerce, shortened.
WEBHOOK: Example = {
    "id": 727,
    "number": "727",
    "status": "processing",
    "currency": "EUR",
    "total": "29.00",
    "billing": {"first_name": "Ada", "last_name": "Lind", "email": "ada@example.com"},
    "line_items": [{"name": "Wool socks", "quantity": 2, "subtotal": "29.00", "total": "29.00"}],
}
WEBHOOK_RECEIPT: Example = {"outcome": "accepted", "reason": None, "order_id": "727"}
