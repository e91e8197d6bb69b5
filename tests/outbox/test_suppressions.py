"""The suppression list on a real SQLite file and a real PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from outboxes import claim, find, mail, run, settle

from orderconfirm.models import Delivery, RelayEvent, State
from orderconfirm.outbox.admin import OutboxAdmin
from orderconfirm.outbox.delivery_events import DeliveryEventStore
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retention import Retention
from orderconfirm.outbox.retry import SENT
from orderconfirm.outbox.suppressions import SuppressedAddresses


def suppress(queue: OutboxQueue, shop: str, order_id: str, address: str = "a@example.com") -> None:
    """Send an order's mail, which then bounces."""
    queue.add(replace(mail(order_id), shop=shop, recipient=address))
    [claimed] = claim(queue, 1, 60)
    settle(queue, claimed, SENT)
    event = RelayEvent(
        f"{shop}{order_id}",
        "bounce",
        datetime.now(UTC) + timedelta(seconds=1),
        *(None, None, Delivery.BOUNCED, shop, order_id, None, None, address, "{}"),
    )
    assert DeliveryEventStore(queue._database).record([event]) == 1


def test_the_list_names_the_order_and_its_address_the_last_first(queue: OutboxQueue) -> None:
    addresses = SuppressedAddresses(queue._database)
    suppress(queue, "shop", "1")
    suppress(queue, "shop", "2", "B@example.com")
    suppress(queue, "other", "3")
    whole, end = addresses.page(None, None, 9)
    named = [(each.shop, each.order_id, each.address, each.event) for each in whole]
    assert named == [
        ("other", "3", "a@example.com", "bounce"),
        ("shop", "2", "b@example.com", "bounce"),
        ("shop", "1", "a@example.com", "bounce"),
    ]
    first, cursor = addresses.page(None, None, 2)
    second, last = addresses.page(None, cursor, 2)
    assert (first + second, last, end) == (whole, None, None)
    assert addresses.page("shop", None, 9)[0] == whole[1:]


def test_the_address_is_no_longer_known_once_the_order_is_purged(queue: OutboxQueue) -> None:
    suppress(queue, "shop", "1")
    Retention(queue._database).purge(-1)
    [[suppression], _] = SuppressedAddresses(queue._database).page("shop", None, 9)
    assert (suppression.order_id, suppression.address) == ("1", None)


def test_a_row_of_an_earlier_version_has_no_order(queue: OutboxQueue) -> None:
    run(queue, "INSERT INTO suppressions (shop, address_hash, since, event) VALUES ('shop', 'h', 1, 'bounce')")
    [[suppression], _] = SuppressedAddresses(queue._database).page(None, None, 9)
    assert (suppression.address_hash, suppression.order_id, suppression.address) == ("h", None, None)


def test_a_release_by_address_or_hash_names_the_held_orders_and_lets_them_be_retried(queue: OutboxQueue) -> None:
    admin, addresses = OutboxAdmin(queue._database), SuppressedAddresses(queue._database)
    suppress(queue, "shop", "1")
    assert addresses.release("other", "a@example.com") is None
    for number, name in enumerate(("A@Example.com ", addresses.page("shop", None, 1)[0][0].address_hash)):
        if number:
            suppress(queue, "shop", "2")
        queue.add(mail(f"held {number}"))
        assert find(queue, f"held {number}").state is State.HELD
        assert admin.requeue("shop", f"held {number}") == 0
        assert addresses.release("shop", name) == [f"held {number}"]
        assert addresses.release("shop", name) is None
        assert addresses.page("shop", None, 9) == ([], None)
        assert (find(queue, f"held {number}").reason or "").startswith("this address has been released")
        assert admin.requeue("shop", f"held {number}") == 1
        [claimed] = claim(queue, 1, 60)
        settle(queue, claimed, SENT)
