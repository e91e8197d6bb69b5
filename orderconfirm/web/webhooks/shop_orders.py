"""Orders as a shop's own platform posts them: WooCommerce, Shopify, Saleor, Stripe, or our schema in a signed envelope.

The responses are what the platforms expect. They switch a webhook off after some errors, and nobody there reads a
response: so whatever is signed and stored gets 200, even an order that is refused.
"""

from __future__ import annotations

import time
from typing import Any

from flask import current_app, g, request
from werkzeug.exceptions import NotFound

from orderconfirm.limits import MAX_WEBHOOK_BODY_BYTES
from orderconfirm.web import problem_types
from orderconfirm.web.auth import Authenticator
from orderconfirm.web.openapi import examples
from orderconfirm.web.problems import problem
from orderconfirm.web.request_parsing import raw_body
from orderconfirm.web.response_schemas import WebhookReceiptSchema
from orderconfirm.web.webhooks.blueprint import PROBLEMS, bp

_BODY: dict[str, Any] = {
    "required": True,
    "content": {"application/json": {"schema": {"type": "object"}, "example": examples.WEBHOOK}},
}


@bp.post("/orders/<shop>")
@bp.operation(problem_types.NOT_FOUND, *PROBLEMS, requestBody=_BODY, security=[])
@bp.response(200, WebhookReceiptSchema, description="Stored, or nothing to store.", example=examples.WEBHOOK_RECEIPT)
def take_shop_order(shop: str) -> Any:
    """Take an order as the shop's platform posts it.

    The shop's profile names the format and the secrets. Signed bodies always get 200, with what became of the order.
    """
    runtime = current_app.extensions["orderconfirm"]
    webhook = runtime.shops[shop].webhook
    if webhook is None:
        raise NotFound("This shop has no profile with a webhook: see SHOPS_DIR.")
    headers = {name.lower(): value for name, value in request.headers}
    if webhook.format.is_ping(headers):
        return {"outcome": "ping", "reason": "the platform's own test, without a signature", "order_id": None}
    request.max_content_length = MAX_WEBHOOK_BODY_BYTES
    body = raw_body()
    if not webhook.format.verify(headers, body, webhook.secrets, time.time()):
        authenticator: Authenticator = current_app.extensions["authenticator"]
        place = webhook.format.where_to_find_it
        authenticator.note_wrong_secret(f"webhook of shop {shop} without a valid signature: compare {place}")
        return problem(problem_types.BAD_SIGNATURE, problem_types.BAD_SIGNATURE.detail)
    g.shop = shop
    topic = headers.get(webhook.format.topic_header, "")
    receipt = runtime.shop_webhooks.take(shop, webhook.format.name, topic, body)
    return {"outcome": receipt.outcome, "reason": receipt.reason or None, "order_id": receipt.order_id}
