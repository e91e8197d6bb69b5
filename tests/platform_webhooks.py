"""Webhooks as each platform posts and signs them."""

from __future__ import annotations

import hmac
import json
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "tests" / "platforms" / "fixtures"
#: Fits every format. Standard Webhooks signs with the base64 after the prefix.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

Names = tuple[str, ...]


@dataclass(frozen=True)
class Platform:
    """The headers of a platform, and where its body has an order's id, the address, a note, and whether it is paid.

    `unpaid` is the value there of an order that must wait; None when the platform posts none.
    """

    topic_header: str
    topic: str
    order: Names
    order_id: str
    email: Names
    note: str
    paid: str = ""
    unpaid: Any = None


PLATFORMS = {
    "woocommerce": Platform(
        "X-WC-Webhook-Topic", "order.updated", (), "id", ("billing", "email"), "customer_note", "status", "pending"
    ),
    "shopify": Platform(
        "X-Shopify-Topic", "orders/updated", (), "id", ("email",), "note", "financial_status", "pending"
    ),
    "standard": Platform("Webhook-Topic", "", (), "order_id", ("customer", "email"), "notes"),
    "saleor": Platform(
        "Saleor-Event", "order_updated", ("order",), "id", ("userEmail",), "customerNote", "isPaid", False
    ),
    "stripe": Platform("Stripe-Event", "", ("data", "object"), "id", ("customer_email",), "number"),
}


def fixture(platform: str, name: str = "simple") -> Any:
    """Return a body as the platform posts it."""
    body = json.loads(_text(platform, name))
    return body if platform == "standard" else body["body"]


@cache
def _text(platform: str, name: str) -> str:
    path = ROOT / "examples" / "order.json" if platform == "standard" else FIXTURES / platform / f"{name}.json"
    return path.read_text(encoding="utf-8")


def inner(body: Any, path: Names) -> Any:
    """Return the value at a path of names."""
    for name in path:
        body = body[name]
    return body


def profile(platform: str) -> str:
    """Return the profile of a shop that takes paid orders. Its secret is in the variable HOOK_SECRET."""
    return f'currency = "EUR"\n[webhook]\nformat = "{platform}"\nsecret_env = "HOOK_SECRET"\ntrigger = "paid"\n'


def signed_headers(platform: str, body: bytes, secret: str = SECRET, at: float | None = None) -> Mapping[str, str]:
    """Return the headers of a body, signed at a Unix time, which is now by default."""
    sent_at = str(int(time.time() if at is None else at))
    topic = {PLATFORMS[platform].topic_header: PLATFORMS[platform].topic, "Content-Type": "application/json"}
    if platform == "standard":
        signature = b64encode(_mac(b64decode(secret.removeprefix("whsec_")), f"msg_1.{sent_at}.".encode() + body))
        names = {"Webhook-Id": "msg_1", "Webhook-Timestamp": sent_at, "Webhook-Signature": f"v1,{signature.decode()}"}
        return topic | names
    if platform == "stripe":
        signature = _mac(secret.encode(), f"{sent_at}.".encode() + body)
        return topic | {"Stripe-Signature": f"t={sent_at},v1={signature.hex()}"}
    signature = _mac(secret.encode(), body)
    if platform == "saleor":
        return topic | {"Saleor-Signature": signature.hex()}
    name = "X-WC-Webhook-Signature" if platform == "woocommerce" else "X-Shopify-Hmac-Sha256"
    return topic | {name: b64encode(signature).decode()}


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, sha256)
