"""The webhooks of the shops: when each platform has last posted something."""

from __future__ import annotations

from collections.abc import Iterator

from orderconfirm.checks.findings import Finding, ok, warning
from orderconfirm.errors import SettingsError
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.webhook_log import WebhookLog
from orderconfirm.settings import Settings
from orderconfirm.shops import Shops, ShopWebhook
from orderconfirm.webhook_silence import SilenceWatch


def examine_webhooks(settings: Settings, database: Database) -> Iterator[Finding]:
    """Examine the silence of each shop's webhook. Profiles with errors are the subject of another check."""
    try:
        watch = SilenceWatch(WebhookLog(database), Shops(settings))
    except SettingsError:
        return
    silences = watch.read()
    for shop, webhook in watch.webhooks.items():
        yield _webhook(shop, webhook, silences.get(shop))


def _webhook(shop: str, webhook: ShopWebhook, silence: float | None) -> Finding:
    name = f"webhook {shop}"
    if silence is None:
        advice = "place an order in the shop, or send a test from its platform (docs/shops.md)"
        return warning(name, "nothing has come from the shop's platform yet", advice)
    found = f"last heard from {silence / 3600:.1f} hours ago"
    if webhook.silence_alert is not None and silence > webhook.silence_alert * 3600:
        return warning(name, f"{found}, more than {webhook.silence_alert}", webhook.format.how_to_switch_on)
    return ok(name, found)
