"""The use case of a shop platform's webhook: its order is placed like any other, or the webhook is kept."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from orderconfirm.confirmations import OrderConfirmations
from orderconfirm.errors import InvalidOrder, OrderConflict
from orderconfirm.metrics import counters
from orderconfirm.metrics.table import WEBHOOKS
from orderconfirm.order.json_body import InvalidJson, parse_json
from orderconfirm.order.order_id import MAX_ORDER_ID_LENGTH
from orderconfirm.order.schemas import DefaultCurrency, OrderSchema, load_order
from orderconfirm.outbox.webhook_log import WebhookLog
from orderconfirm.platforms import FORMATS, Found, Nothing, Outcome, Unreadable
from orderconfirm.queries import KeptWebhook, NewWebhook
from orderconfirm.shops import Shops

log = logging.getLogger(__name__)

#: Outcomes that a person may want to see.
KEPT = frozenset({Outcome.CHANGED, Outcome.NOT_DUE, Outcome.TEST, Outcome.OTHER_TOPIC, Outcome.REFUSED})
_MAX_REASON_LENGTH = 1000
_MAX_TOPIC_LENGTH = 64

_schema = OrderSchema()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a webhook. `reason` explains why it led to no mail."""

    outcome: Outcome
    reason: str = ""
    order_id: str | None = None


class ShopWebhooks:
    """Takes webhooks whose signature was verified. Every method raises OutboxUnavailable when the database fails."""

    def __init__(self, confirmations: OrderConfirmations, kept: WebhookLog, shops: Shops) -> None:
        self._confirmations = confirmations
        self._shops = shops
        #: The webhooks that led to no mail.
        self.kept = kept

    def take(self, shop: str, platform: str, topic: str, body: bytes) -> Receipt:
        """Place the webhook's order, or keep the webhook. When this returns, either is on disk."""
        receipt = self._read(shop, platform, topic, body)
        if receipt.outcome in KEPT:
            self.kept.keep(
                NewWebhook(
                    shop=shop,
                    platform=platform,
                    topic=_storable(topic[:_MAX_TOPIC_LENGTH]),
                    outcome=receipt.outcome,
                    reason=_storable(receipt.reason[:_MAX_REASON_LENGTH]),
                    order_id=receipt.order_id,
                    body=body.decode("utf-8", "replace").replace("\0", ""),
                )
            )
        counters.add(WEBHOOKS, (receipt.outcome,))
        level = logging.WARNING if receipt.outcome is Outcome.REFUSED else logging.INFO
        extra = {"shop": shop, "platform": platform, "outcome": receipt.outcome, "order_id": receipt.order_id}
        log.log(level, "webhook of a shop", extra=extra)
        return receipt

    def replay(self, webhook: KeptWebhook) -> Receipt:
        """Process a kept webhook again, for example after its shop's profile was corrected.

        If it leads to no mail again, it keeps its number and its time, and gets the new reason.
        """
        receipt = self._read(webhook.shop, webhook.platform, webhook.topic, webhook.body.encode())
        if receipt.outcome in KEPT:
            self.kept.update(webhook.number, receipt.outcome, _storable(receipt.reason[:_MAX_REASON_LENGTH]))
        else:
            self.kept.delete(webhook.number)
        return receipt

    def _read(self, shop: str, platform: str, topic: str, body: bytes) -> Receipt:
        webhook = self._shops[shop].webhook
        try:
            decoded = parse_json(body)
            if not isinstance(decoded, Mapping):
                return Receipt(Outcome.REFUSED, "the body is not a JSON object")
            reading = FORMATS[platform].read(topic, decoded, webhook is not None and webhook.only_paid)
        except (InvalidJson, Unreadable) as exc:
            return Receipt(Outcome.REFUSED, str(exc))
        return self._found(shop, reading) if isinstance(reading, Found) else _nothing(reading)

    def _found(self, shop: str, found: Found) -> Receipt:
        order_id = _stored_id(found.order.get("order_id"))
        try:
            with DefaultCurrency(self._shops[shop].settings.default_currency):
                body, _ = load_order(_schema, found.order)
            result = self._confirmations.place(shop, body)
        except InvalidOrder as exc:
            return Receipt(Outcome.REFUSED, "; ".join(f"{each.pointer} {each.detail}" for each in exc.errors), order_id)
        except OrderConflict as exc:
            if not exc.pointers:
                return Receipt(Outcome.CHANGED, "not recorded: the content of the order is deleted", order_id)
            what = ", ".join(exc.pointers)
            if self._confirmations.change(shop, body, what):
                return Receipt(Outcome.CHANGED, f"recorded for a resend: {what}", order_id)
            return Receipt(
                Outcome.CHANGED, f"not recorded while its mail is under way, replay it later: {what}", order_id
            )
        return Receipt(Outcome.ACCEPTED if result.is_new else Outcome.KNOWN, order_id=order_id)


def _nothing(reading: Nothing) -> Receipt:
    return Receipt(reading.outcome, reading.reason, _stored_id(reading.order_id))


def _stored_id(order_id: object) -> str | None:
    """Return an order's id if it can be stored."""
    return _storable(order_id[:MAX_ORDER_ID_LENGTH]) if isinstance(order_id, str) else None


def _storable(text: str) -> str:
    """Return a text that both databases can store: without NUL and unpaired surrogates, which JSON can express."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
