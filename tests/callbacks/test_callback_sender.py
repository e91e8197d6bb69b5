"""Callbacks posted to a real receiver, from a real outbox. Time is passed in: the rows and the breakers are moved."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from callback_receiver import SECRETS, Receiver, callback_receiver
from outboxes import claim, mail, opened, run, settle
from processes import wait_until
from standardwebhooks import Webhook

from orderconfirm.callbacks.schedule import DELAYS, FIRST_PAUSE
from orderconfirm.callbacks.sender import CallbackSender
from orderconfirm.models import Delivery, RelayEvent
from orderconfirm.outbox.callback_admin import CallbackAdmin
from orderconfirm.outbox.delivery_events import DeliveryEventStore
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retention import Retention
from orderconfirm.outbox.retry import SENT
from orderconfirm.platforms.signatures import verify_standard
from orderconfirm.queries import Callback
from orderconfirm.settings import Settings
from orderconfirm.shops import Shops


class Service:
    """An outbox whose shops have a callback, and its callback sender, whose rounds the test runs itself."""

    def __init__(self, queue: OutboxQueue, url: str, allow_private: bool = True) -> None:
        settings = Settings(callback_url=url, callback_secrets=SECRETS, callback_allow_private=allow_private)
        shops = Shops(settings)
        self.queue = queue
        self.urls = shops.callback_urls()
        self.sender = CallbackSender(queue._database, shops, lambda: time.monotonic() + self._passed)
        self.admin = CallbackAdmin(queue._database, shops.has_callback)
        self.events = DeliveryEventStore(queue._database, shops.has_callback)
        self._passed = 0.0

    def send_mails(self, *order_ids: str) -> None:
        for order_id in order_ids:
            self.queue.add(mail(order_id))
        for each in claim(self.queue, len(order_ids), 60):
            assert settle(self.queue, each, SENT)

    def let_pass(self, seconds: float) -> None:
        """Make `seconds` pass for the rows and the breakers, and post what is due then."""
        self._passed += seconds
        run(self.queue, f"UPDATE callbacks SET due_at = due_at - {seconds}")
        self.post_all()

    def post_all(self) -> None:
        """Run rounds until nothing more is posted."""
        while True:
            self.sender.round()
            if not self.sender.is_busy:
                return
            wait_until(lambda: not self.sender._busy)

    def of(self, order_id: str) -> Callback:
        [callback] = self.admin.of_order("shop", order_id)
        return callback

    def report(self, order_id: str, delivery: Delivery) -> None:
        at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        ids = {"shop": "shop", "order_id": order_id, "message_id": None, "mail_id": None, "address": "a@example.com"}
        text = "550 5.1.1 <a@example.com>: no such user"
        self.events.record([RelayEvent(f"{order_id}{delivery}", "bounce", at, 550, text, delivery, raw="{}", **ids)])


@contextmanager
def service(queue: OutboxQueue, url: str, **options: bool) -> Iterator[Service]:
    running = Service(queue, url, **options)
    try:
        yield running
    finally:
        running.sender.stop(0)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with callback_receiver() as running:
        yield running


@pytest.fixture
def queue(url: str) -> Iterator[OutboxQueue]:
    with opened(url) as opened_queue:
        yield OutboxQueue(opened_queue._database, 1000, has_callback=lambda shop: shop == "shop")


@pytest.fixture
def shop(queue: OutboxQueue, receiver: Receiver) -> Iterator[Service]:
    with service(queue, receiver.url) as running:
        yield running


@pytest.fixture
def sqlite_shop(tmp_path: Path, receiver: Receiver) -> Iterator[Service]:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as opened_queue:
        queue = OutboxQueue(opened_queue._database, 1000, has_callback=lambda shop: True)
        with service(queue, receiver.url) as running:
            yield running


def test_every_event_is_posted_once_signed_with_all_secrets_and_without_personal_data(
    shop: Service, receiver: Receiver
) -> None:
    shop.send_mails("A/1")
    shop.report("A/1", Delivery.DELIVERED)
    shop.report("A/1", Delivery.SOFT_BOUNCED)
    shop.report("A/1", Delivery.BOUNCED)
    shop.report("A/1", Delivery.BOUNCED)  # repeated: stored once
    shop.queue.add(mail("B"))  # to the same address, which is suppressed now
    shop.post_all()
    shop.post_all()
    events = {}
    for _, headers, body in receiver.received:
        for secret in SECRETS:
            events[headers["webhook-id"]] = Webhook(secret).verify(body, headers)
            assert verify_standard(headers, body, [secret], datetime.now(UTC).timestamp())
        assert b"@example.com" not in body
        assert b"no such user" not in body
    told = {(each["type"], each["data"]["order_id"]): each["data"] for each in events.values()}
    assert len(receiver.received) == len(told) == 4
    assert told["order_confirmation.sent", "A/1"] == {
        "shop": "shop",
        "order_id": "A/1",
        "revision": 0,
        "message_id": "<A/1@x>",
        "state": "sent",
        "delivery": None,
        "reason": None,
        "code": None,
        "accepted_at": told["order_confirmation.sent", "A/1"]["accepted_at"],
        "links": {"self": "/api/order-confirmation/A/1"},
    }
    bounced = told["order_confirmation.bounced", "A/1"]
    assert (bounced["delivery"], bounced["reason"], bounced["code"]) == ("bounced", "refused", 550)
    assert ("order_confirmation.delivered", "A/1") in told
    assert told["order_confirmation.held", "B"]["reason"] == "suppressed"
    assert {each.state for each in shop.admin.of_order("shop", "A/1")} == {"delivered"}


def test_a_receiver_that_is_away_for_an_hour_gets_everything_then(sqlite_shop: Service, receiver: Receiver) -> None:
    shop, names = sqlite_shop, [f"A{number}" for number in range(20)]
    receiver.respond = lambda path: (503, {})
    shop.send_mails(*names)
    for _ in range(60):
        shop.let_pass(60)
    attempts = [shop.of(name).attempts for name in names]
    # One probe at a time: an hour of outage has used up few attempts, and none of most callbacks.
    assert len(receiver.received) == sum(attempts) < 25
    assert max(attempts) <= 3
    ids = set(receiver.ids)
    receiver.respond = lambda path: (204, {})
    receiver.received.clear()
    for _ in range(60):
        shop.let_pass(60)
    assert {shop.of(name).state for name in names} == {"delivered"}
    assert len(receiver.received) == 20
    assert ids <= set(receiver.ids)


def test_eight_attempts_in_28_hours_with_one_id_then_it_is_given_up_until_a_replay(
    sqlite_shop: Service, receiver: Receiver
) -> None:
    shop = sqlite_shop
    receiver.respond = lambda path: (500, {})
    shop.send_mails("A")
    shop.post_all()
    for delay in DELAYS:
        shop.let_pass(delay * 0.9)
        shop.let_pass(delay * 0.4)
    assert sum(DELAYS) / 3600 == pytest.approx(28, abs=0.5)
    assert (len(receiver.received), len(set(receiver.ids))) == (8, 1)
    assert (shop.of("A").state, shop.of("A").attempts, shop.of("A").reason) == ("failed", 8, "HTTP 500")
    assert [each.order_id for each in shop.admin.newest(None, (), 10)] == ["A"]
    receiver.respond = lambda path: (200, {})
    assert sum(shop.admin.replay_all(None, shop.urls)) == 1
    shop.let_pass(3600)
    assert (shop.of("A").state, len(set(receiver.ids))) == ("delivered", 1)


def test_410_switches_the_url_off_until_a_replay(sqlite_shop: Service, receiver: Receiver, log: list[str]) -> None:
    shop = sqlite_shop
    receiver.respond = lambda path: (410, {})
    shop.send_mails("A")
    shop.post_all()
    shop.send_mails("B", "C")
    shop.post_all()
    assert len(receiver.received) == 1
    assert {shop.of(name).state for name in "ABC"} == {"gone"}
    assert any("switched off" in line for line in log)
    with service(shop.queue, f"{receiver.url}/new") as moved:  # the URL was changed
        moved.send_mails("D")
        moved.post_all()
    assert receiver.received[-1][0] == "/callback/new"
    receiver.respond = lambda path: (200, {})
    assert shop.admin.replay_order("shop", "A", shop.urls) == 1
    shop.send_mails("E")
    shop.post_all()
    assert [shop.of(name).state for name in "ABE"] == ["delivered", "gone", "delivered"]


@pytest.mark.parametrize("is_date", [False, True])
def test_retry_after_is_respected_for_the_whole_host(sqlite_shop: Service, receiver: Receiver, is_date: bool) -> None:
    shop = sqlite_shop
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True) if is_date else "600"
    receiver.respond = lambda path: (429, {"Retry-After": later})
    shop.send_mails("A")
    shop.post_all()
    receiver.respond = lambda path: (200, {})
    shop.send_mails("B")
    shop.let_pass(580)
    assert len(receiver.received) == 1
    shop.let_pass(30)
    assert (shop.of("A").state, shop.of("B").state) == ("delivered", "delivered")


def test_a_redirect_is_a_failure_and_is_not_followed(sqlite_shop: Service, receiver: Receiver) -> None:
    receiver.respond = lambda path: (307, {"Location": receiver.url.replace("callback", "elsewhere")})
    sqlite_shop.send_mails("A")
    sqlite_shop.post_all()
    assert [path for path, _, _ in receiver.received] == ["/callback"]
    callback = sqlite_shop.of("A")
    assert (callback.state, callback.status) == ("waiting", 307)
    assert callback.reason == "HTTP 307, and redirects are not followed"


def test_a_private_address_gets_nothing_unless_it_is_allowed(tmp_path: Path, receiver: Receiver) -> None:
    with opened(f"sqlite:///{tmp_path}/outbox.db") as opened_queue:
        queue = OutboxQueue(opened_queue._database, 1000, has_callback=lambda shop: True)
        url = receiver.url.replace("127.0.0.1", "localhost")
        with service(queue, url, allow_private=False) as shop:
            shop.send_mails("A")
            shop.post_all()
            assert shop.of("A").reason == "not posted: the name has an address that is not public"
    assert not receiver.received


def test_two_processes_post_no_callback_twice_and_a_dead_one_s_come_back(shop: Service, receiver: Receiver) -> None:
    names = [f"A{number}" for number in range(12)]
    shop.send_mails(*names)
    with service(shop.queue, receiver.url) as other:
        for _ in range(12):
            shop.sender.round()
            other.sender.round()
            wait_until(lambda: not shop.sender._busy and not other.sender._busy)
        assert sorted(receiver.ids) == sorted(set(receiver.ids))
        assert len(receiver.ids) == 12
    # This process dies before it records that it has posted.
    shop.send_mails("B")
    shop.sender.round()
    wait_until(lambda: not shop.sender._busy)
    with service(shop.queue, receiver.url) as successor:
        successor.let_pass(50)
        assert len(receiver.ids) == 13
        successor.let_pass(20)
        assert receiver.ids[-1] == receiver.ids[-2]
        assert successor.of("B").state == "delivered"
    shop.sender.round()  # it was only slow: the lease is lost, and nothing changes
    assert shop.of("B").attempts == 1


def test_a_shop_without_a_callback_costs_no_statement(queue: OutboxQueue, receiver: Receiver) -> None:
    with service(queue, receiver.url) as shop:
        other = OutboxQueue(queue._database, 1000)
        other.add(mail("A"))
        [claimed] = claim(other, 1, 60)
        settle(other, claimed, SENT)
        assert shop.admin.of_order("shop", "A") == []


def test_callbacks_go_with_the_content_of_their_order(shop: Service) -> None:
    shop.send_mails("A", "B")
    retention = Retention(shop.queue._database)
    retention.erase("shop", "A")
    assert shop.admin.of_order("shop", "A") == []
    assert len(shop.admin.of_order("shop", "B")) == 1
    retention.purge(-1)
    assert shop.admin.of_order("shop", "B") == []


def test_a_host_that_fails_is_paused_and_probed_once(sqlite_shop: Service, receiver: Receiver, log: list[str]) -> None:
    shop = sqlite_shop
    receiver.respond = lambda path: (500, {})
    shop.send_mails(*"ABCDEFGH")
    shop.post_all()
    assert 3 <= len(receiver.received) <= 4
    assert log.count("the callbacks to a host are paused") == 1
    count = len(receiver.received)
    shop.let_pass(FIRST_PAUSE * 2.1)
    assert len(receiver.received) == count + 1
    assert json.loads(receiver.received[-1][2])["type"] == "order_confirmation.sent"
