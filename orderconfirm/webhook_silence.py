"""Shops whose platform posts nothing any more: platforms switch a webhook off after some errors, without a word."""

from __future__ import annotations

import logging

from orderconfirm.outbox.webhook_log import WebhookLog
from orderconfirm.shops import Shops, ShopWebhook

log = logging.getLogger(__name__)

#: Seconds between two looks, and between two lines about the same shop.
CHECK_INTERVAL = 60.0
REMINDER_INTERVAL = 3600.0


class SilenceWatch:
    """Logs each shop whose webhook has been silent for longer than its WEBHOOK_SILENCE_ALERT, then every hour."""

    def __init__(self, received: WebhookLog, shops: Shops) -> None:
        self._received = received
        self.webhooks: dict[str, ShopWebhook] = {
            name: profile.webhook for name, profile in shops.profiles.items() if profile.webhook
        }
        self._started_at: float | None = None
        self._next_check = 0.0
        self._reminders: dict[str, int] = {}

    def read(self) -> dict[str, float]:
        """Return the seconds since the last webhook of each shop from which one has come. Raises OutboxUnavailable."""
        silences = {shop: self._received.seconds_since_last(shop) for shop in self.webhooks}
        return {shop: seconds for shop, seconds in silences.items() if seconds is not None}

    def run(self, now: float) -> None:
        """Log the silent shops if it is time to. Raises OutboxUnavailable. `now` is in seconds of a monotonic clock."""
        if self._started_at is None:
            self._started_at = now
        if now < self._next_check:
            return
        self._next_check = now + CHECK_INTERVAL
        silences = self.read() if any(each.silence_alert for each in self.webhooks.values()) else {}
        for shop, webhook in self.webhooks.items():
            self._remind(shop, webhook, silences.get(shop, now - self._started_at))

    def _remind(self, shop: str, webhook: ShopWebhook, silence: float) -> None:
        """Log a silence once, and again for each hour that it lasts."""
        if webhook.silence_alert is None:
            return
        reminders = max(0, int((silence - webhook.silence_alert * 3600) // REMINDER_INTERVAL) + 1)
        if reminders > self._reminders.get(shop, 0):
            extra = {
                "shop": shop,
                "platform": webhook.format.name,
                "hours": int(silence // 3600),
                "advice": webhook.format.how_to_switch_on,
            }
            log.error("the webhook of a shop is silent", extra=extra)
        self._reminders[shop] = reminders
