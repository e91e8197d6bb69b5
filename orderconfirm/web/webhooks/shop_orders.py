"""Orders as a shop's own platform posts them: WooCommerce, Shopify, Saleor, Stripe, or our schema in a signed envelope.

Platforms switch a webhook off after some errors, and nobody reads the responses. So every signed webhook gets 200 once
it is stored, even one with an order that is refused.
"""

from __future__ import annotations

import time
from typing import Any

from flask import current_app, g, request
from werkzeug.exceptions import NotFound

from orderconfirm.web import problem_types
from orderconfirm.web.openapi import examples
from orderconfirm.web.response_schemas import WebhookReceiptSchema
from orderconfirm.web.webhooks.blueprint import PROBLEMS, bp
from orderconfirm.web.webhooks.receiving import signed_body

_BODY: dict[str, Any] = {
    "required": True,
    "content": {"application/json": {"schema": {"type": "object"}, "example": examples.WEBHOOK}},
}


@bp.post("/orders/<shop>")
@bp.operation(problem_types.NOT_FOUND, *PROBLEMS, requestBody=_BODY, security=[])
@bp.response(200, WebhookReceiptSchema, description="Stored, or nothing to store.", example=examples.WEBHOOK_RECEIPT)
def take_shop_order(shop: str) -> Any:
    """Take an order as the shop's platform posts it.

    The shop's profile names the format and the secrets. A signed body always gets 200, with the order's outcome.
    """
    runtime = current_app.extensions["orderconfirm"]
    webhook = runtime.shops[shop].webhook
    if webhook is None:
        raise NotFound("This shop has no profile with a webhook: see SHOPS_DIR.")
    headers = {name.lower(): value for name, value in request.headers}
    if webhook.format.is_ping(headers):
        return {"outcome": "ping", "reason": "the platform's own test, without a signature", "order_id": None}
    body = signed_body(
        lambda body: webhook.format.verify(headers, body, webhook.secrets, time.time()),
        f"webhook of shop {shop} without a valid signature: compare {webhook.format.where_to_find_it}",
    )
    g.shop = shop
    topic = headers.get(webhook.format.topic_header, "")
    receipt = runtime.shop_webhooks.take(shop, webhook.format.name, topic, body)
    return {"outcome": receipt.outcome, "reason": receipt.reason or None, "order_id": receipt.order_id}
