"""What a person asks about the outbox, and the values that answer it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orderconfirm.models import Delivery, QueueStats, RelayPause, State


@dataclass(frozen=True, slots=True)
class Search:
    """A search for mails that match every criterion given. Times are acceptance times; `until` is excluded.

    Of several states or deliveries, one must match. An order id must be the whole one.
    """

    states: tuple[State, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    order_id: str | None = None
    recipient: str | None = None
    has_possible_copies: bool = False
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of the outbox at a glance, of one shop's mails or of all.

    `senders` is how many processes send, `pause` the longest pause among them. `sent_per_minute` is how many mails were
    sent in each minute of the last hour, the newest minute last; it is shorter when too many were sent to count.
    """

    stats: QueueStats
    senders: int
    pause: RelayPause | None
    sent_per_minute: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Suppression:
    """A suppressed address of a shop, of which only the hash is stored.

    `event` is the relay's name for what it reported about the order's mail. `address` is known as long as that mail has
    its content, the order id unless an earlier version stored the suppression.
    """

    shop: str
    address_hash: str
    address: str | None
    since: datetime
    event: str
    order_id: str | None


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """A shop platform's webhook that led to no mail. `body` is as it was received, for a replay."""

    shop: str
    platform: str
    topic: str
    outcome: str
    reason: str
    order_id: str | None
    body: str


@dataclass(frozen=True, slots=True)
class KeptWebhook(NewWebhook):
    """Such a webhook as it is stored."""

    number: int
    received_at: datetime
