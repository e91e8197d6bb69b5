"""Kept webhooks on a real SQLite file and a real PostgreSQL."""

from __future__ import annotations

from dataclasses import replace

from outboxes import find, mail

from orderconfirm.order.serialization import canonical, fingerprint
from orderconfirm.outbox.admin import OutboxAdmin
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retention import Retention
from orderconfirm.outbox.webhook_log import WebhookLog
from orderconfirm.queries import NewWebhook

REFUSED = NewWebhook("shop", "woocommerce", "order.created", "refused", "no email", "7", '{"id": 7}')


def test_the_newest_webhook_about_an_order_replaces_the_others(queue: OutboxQueue) -> None:
    log = WebhookLog(queue._database)
    log.keep(REFUSED)
    log.keep(replace(REFUSED, order_id=None))
    log.keep(replace(REFUSED, order_id=None))
    log.keep(replace(REFUSED, outcome="not_due", reason="pending", body="{}"))
    log.keep(replace(REFUSED, shop="other"))
    kept = log.newest("shop", (), 10)
    assert [(each.order_id, each.outcome, each.body) for each in kept] == [
        ("7", "not_due", "{}"),
        (None, "refused", '{"id": 7}'),
        (None, "refused", '{"id": 7}'),
    ]
    assert log.newest(None, ("not_due",), 10) == kept[:1]
    assert log.find(kept[0].number) == kept[0]
    assert log.find(99) is None
    assert len(log.newest(None, (), 2)) == 2


def test_a_webhook_is_settled_once_its_order_is_accepted(queue: OutboxQueue) -> None:
    log = WebhookLog(queue._database)
    log.keep(REFUSED)
    queue.add(mail("7"))
    assert log.newest(None, (), 10) == []
    log.keep(replace(REFUSED, outcome="changed"))
    assert [each.outcome for each in log.newest(None, (), 10)] == ["changed"]


def test_webhooks_are_purged_by_age_and_erased_with_their_order(queue: OutboxQueue) -> None:
    log, retention = WebhookLog(queue._database), Retention(queue._database)
    log.keep(REFUSED)
    retention.purge(60)
    assert len(log.newest(None, (), 10)) == 1
    queue.add(mail("7"))
    log.keep(replace(REFUSED, outcome="changed"))
    retention.erase("shop", "7")
    log.keep(replace(REFUSED, order_id="8"))
    assert [each.order_id for each in log.newest(None, (), 10)] == ["8"]
    retention.purge(-1)
    assert log.newest(None, (), 10) == []


def test_the_content_of_a_mail_under_way_or_without_content_is_not_replaced(queue: OutboxQueue) -> None:
    admin = OutboxAdmin(queue._database)
    new = mail("7")
    request = canonical({**new.request, "notes": "later"})
    queue.add(new)
    assert not admin.replace_content("shop", "7", request, new.defaults, "/notes")
    assert not admin.replace_content("shop", "unknown", request, new.defaults, "/notes")
    admin.cancel("shop", "7")
    assert admin.replace_content("shop", "7", request, new.defaults, "/notes")
    assert queue.add(replace(new, request=request, fingerprint=fingerprint(request))).fingerprint == fingerprint(
        request
    )
    entry = find(queue, "7")
    assert entry.history[-1].event == "changed"
    Retention(queue._database).erase("shop", "7")
    assert not admin.replace_content("shop", "7", request, new.defaults, "/notes")
