"""Shops whose platform posts nothing any more: in the log, in flask check, and in the metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from findings import named
from outboxes import mail, run

from orderconfirm.checks.database import examine_database
from orderconfirm.errors import SettingsError
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.webhook_log import WebhookLog
from orderconfirm.queries import NewWebhook
from orderconfirm.settings import Settings
from orderconfirm.shops import Shops
from orderconfirm.webhook_silence import CHECK_INTERVAL, SilenceWatch

HOUR = 3600.0
PROFILE = '[webhook]\nformat = "{}"\nsecret_env = "HOOK"\n'
KEPT = NewWebhook("shop", "shopify", "orders/paid", "refused", "no email", "7", "{}")


@pytest.fixture
def settings(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with a shop that must post every 24 hours, one that must every 2, and one that need not."""
    for name, text in {
        "shop": PROFILE.format("shopify"),
        "fast": PROFILE.format("woocommerce") + "silence_alert = 2\n",
        "calm": PROFILE.format("stripe") + "silence_alert = 0\n",
        "silent": 'name = "No webhook"\n',
    }.items():
        (tmp_path / f"{name}.toml").write_text(text)
    monkeypatch.setenv("HOOK", "0123456789abcdef")
    return Settings.from_env({"SHOPS_DIR": str(tmp_path), "DATABASE_URL": url, "WEBHOOK_SILENCE_ALERT": "24"})


@pytest.fixture
def watch(queue: OutboxQueue, settings: Settings) -> SilenceWatch:
    return SilenceWatch(WebhookLog(queue._database), Shops(settings))


def hours_pass(queue: OutboxQueue, hours: float) -> None:
    run(queue, f"UPDATE outbox SET accepted_at = accepted_at - {hours * HOUR}")
    run(queue, f"UPDATE webhooks SET received_at = received_at - {hours * HOUR}")


def test_the_last_order_or_kept_webhook_counts_whichever_came_later(queue: OutboxQueue, watch: SilenceWatch) -> None:
    assert watch.read() == {}
    queue.add(mail("1"))
    hours_pass(queue, 3)
    assert watch.read() == {"shop": pytest.approx(3 * HOUR, abs=30)}
    WebhookLog(queue._database).keep(KEPT)
    hours_pass(queue, 1)
    assert watch.read() == {"shop": pytest.approx(1 * HOUR, abs=30)}
    queue.add(mail("2"))
    assert watch.read() == {"shop": pytest.approx(0, abs=30)}


def test_a_silence_is_logged_once_then_every_hour_until_a_webhook_comes(
    queue: OutboxQueue, watch: SilenceWatch, lines: list[dict[str, Any]]
) -> None:
    now = 1000.0

    def logged_after(hours: float) -> list[str]:
        nonlocal now
        hours_pass(queue, hours)
        now += max(hours * HOUR, CHECK_INTERVAL)
        lines.clear()
        watch.run(now)
        return [line["shop"] for line in lines if line["event"] == "the webhook of a shop is silent"]

    queue.add(mail("1"))
    assert logged_after(0) == []
    assert logged_after(1.9) == []
    assert logged_after(0.2) == ["fast"]  # from which nothing has come since the start
    assert lines[0]["platform"] == "woocommerce"
    assert "WooCommerce > Settings > Advanced > Webhooks" in lines[0]["advice"]
    assert logged_after(0.5) == []
    assert logged_after(0.5) == ["fast"]
    assert sorted(logged_after(21)) == ["fast", "shop"]
    assert next(line["hours"] for line in lines if line["shop"] == "shop") == 24
    queue.add(mail("2"))
    assert logged_after(0) == []
    assert sorted(logged_after(25)) == ["fast", "shop"]


def test_flask_check_names_each_silent_shop_and_what_to_do(queue: OutboxQueue, settings: Settings) -> None:
    queue.add(mail("1"))
    findings = list(examine_database(settings))
    assert named(findings, "webhook shop").status == "ok"
    assert (named(findings, "webhook fast").status, named(findings, "webhook calm").status) == ("warning", "warning")
    hours_pass(queue, 25)
    silent = named(list(examine_database(settings)), "webhook shop")
    assert (silent.status, silent.found) == ("warning", "last heard from 25.0 hours ago, more than 24")
    assert "Settings > Notifications > Webhooks" in silent.advice


@pytest.mark.parametrize("value", ["-1", "1.5", '"24"', "true"])
def test_a_profile_says_what_is_wrong_with_its_hours(settings: Settings, value: str) -> None:

    profile = Path(settings.shops_dir) / "shop.toml"
    profile.write_text(f"{PROFILE.format('shopify')}silence_alert = {value}\n")
    with pytest.raises(SettingsError, match="webhook.silence_alert must be a whole number of hours"):
        Shops(settings)
