"""The values that travel through the service: an order, its mail, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

#: The shop of a caller without a key of its own.
DEFAULT_SHOP = "default"


@dataclass(frozen=True, slots=True)
class Customer:
    """Who ordered. `email` is an ASCII address that any SMTP relay can carry."""

    name: str
    email: str
    address: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One line of an order. `line_total` is the shop's own word; without it price times quantity counts."""

    name: str
    quantity: Decimal
    price: Decimal
    product_id: str | None = None
    variant: str | None = None
    sku: str | None = None
    image_url: str | None = None
    url: str | None = None
    line_total: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A fee, tip, gift card or anything else that changes the total; negative when it lowers it."""

    label: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address as the shop writes it, line by line."""

    lines: tuple[str, ...]
    city: str | None = None
    postcode: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """A valid order. Money is `Decimal` in `currency`, times are aware, absent parts are None."""

    order_id: str
    customer: Customer
    items: tuple[Item, ...]
    total: Decimal
    currency: str
    locale: str
    order_date: datetime
    shipping_method: str | None = None
    estimated_delivery: datetime | None = None
    subtotal: Decimal | None = None
    discount: Decimal | None = None
    shipping_cost: Decimal | None = None
    tax: Decimal | None = None
    tax_included: bool | None = None
    adjustments: tuple[Adjustment, ...] = ()
    billing_address: Address | None = None
    shipping_address: Address | None = None
    payment_method: str | None = None
    order_url: str | None = None
    notes: str | None = None
    send_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Email:
    """A finished confirmation: what the customer will read, before it becomes a message."""

    subject: str
    text: str
    html: str


class State(StrEnum):
    """Where an order's mail is. Only QUEUED, SENDING and UNKNOWN still move by themselves."""

    #: On disk, waits for its due time.
    QUEUED = "queued"
    #: Leased by a dispatcher, which is talking to the relay.
    SENDING = "sending"
    #: The relay answered 250 to the finished message.
    SENT = "sent"
    #: Contact was lost after the final dot; sent again later under the same Message-ID, unless held.
    UNKNOWN = "unknown"
    #: Refused for good, or given up.
    FAILED = "failed"
    #: Waits for a person.
    HELD = "held"
    #: Withdrawn before it was sent.
    CANCELLED = "cancelled"
    #: Its `send_before` passed first.
    EXPIRED = "expired"


class Event(StrEnum):
    """What happens to a mail, beside what the relay tells later."""

    #: The relay took it.
    SENT = "sent"
    #: Not this time: tried again by itself.
    DEFERRED = "deferred"
    #: Contact was lost after the final dot.
    UNKNOWN = "unknown"
    #: Refused for good, given up, or impossible to make.
    FAILED = "failed"
    #: Its `send_before` passed.
    EXPIRED = "expired"
    #: Set aside for a person.
    HELD = "held"
    #: Given back unsent by a process that stopped.
    RELEASED = "released"
    #: Its process died while it was sending.
    INTERRUPTED = "interrupted"
    #: Put back by a person, under its old Message-ID.
    REQUEUED = "requeued"
    #: Withdrawn by a person.
    CANCELLED = "cancelled"
    #: Withdrawn because the order is sent again as another mail.
    REPLACED = "replaced"
    #: Made by a person, as another mail of the order.
    RESENT = "resent"
    #: Everything personal was deleted.
    ERASED = "erased"


class Delivery(StrEnum):
    """What became of a sent mail, as the relay's webhooks tell it."""

    DELIVERED = "delivered"
    #: Turned away for now; the relay tries again by itself.
    SOFT_BOUNCED = "soft_bounced"
    BOUNCED = "bounced"
    #: Marked as spam by its reader.
    COMPLAINED = "complained"
    #: The relay would not send it: the address is on its suppression list.
    REJECTED = "rejected"
    #: The relay holds it: the sender's domain or account is suspended.
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One thing that happened to a mail, that of `revision`. `stage`, `code`, `text` quote the relay when it spoke."""

    at: datetime
    revision: int
    event: str
    state: State
    stage: str | None = None
    code: int | None = None
    text: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class DeliveryEvent:
    """One thing that the relay told of a sent mail, that of `revision`.

    `event` is its own word, `text` and `code` what it quotes.
    """

    event_id: str
    revision: int
    event: str
    at: datetime
    code: int | None
    text: str | None


@dataclass(frozen=True, slots=True)
class RelayEvent:
    """A delivery event as it came in, with what it names its mail by. `raw` is the whole of it, as JSON.

    `mail_id` is the mail's number in the outbox.
    """

    event_id: str
    event: str
    at: datetime
    code: int | None
    text: str | None
    shop: str | None
    order_id: str | None
    message_id: str | None
    mail_id: int | None
    address: str | None
    raw: str


@dataclass(frozen=True, slots=True)
class Resend:
    """An order's mail is asked for again: to `email`, or to the order's own address."""

    shop: str
    order_id: str
    email: str | None = None
    reason: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """Which mails are asked for: those for which all of it holds. Times are of acceptance, `until` excluded."""

    states: tuple[State, ...] = ()
    recipient: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A mail as the outbox holds it. `possible_copies` counts sends whose outcome nobody knows.

    `revision` is 0 for the confirmation of the order, 1, 2 … for mails sent again on request. `recipient`, in lower
    case, is None once the content is deleted. `earlier` are the order's mails before this one, oldest first, without
    their stories.
    """

    id: int
    shop: str
    order_id: str
    revision: int
    message_id: str
    recipient: str | None
    state: State
    accepted_at: datetime
    changed_at: datetime
    due_at: datetime
    attempts: int
    possible_copies: int
    reason: str | None
    delivery: Delivery | None = None
    is_erased: bool = False
    history: tuple[HistoryEntry, ...] = ()
    deliveries: tuple[DeliveryEvent, ...] = ()
    earlier: tuple[OutboxEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class NewMail:
    """An order about to enter the outbox.

    `sent` is what the shop said in canonical form, `defaults` what the service filled in; together they are the order.
    """

    shop: str
    order_id: str
    message_id: str
    recipient: str
    sent: dict[str, object]
    defaults: dict[str, object]
    fingerprint: str
    send_before: datetime | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimedMail:
    """A mail leased to this process; only the holder of `lease_token` may change it, while the lease lasts.

    `tried_at` is its first attempt since it was accepted or put back: giving up counts from there.
    """

    id: int
    shop: str
    order_id: str
    message_id: str
    payload: str
    accepted_at: datetime
    tried_at: datetime | None
    claimed_at: datetime
    send_before: datetime | None
    attempts: int
    possible_copies: int
    lease_token: str
    recipient: str


@dataclass(frozen=True, slots=True)
class RelayReply:
    """A relay's acceptance: its reply to the final dot."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class QueueStats:
    """How the outbox stands. `mails` has the states that move or wait for a person; `oldest_due` is in seconds."""

    mails: dict[State, int]
    oldest_due: float
    possible_copies: int


@dataclass(frozen=True, slots=True)
class HealthStatus:
    """How this process stands. `idle_seconds` grows while its dispatcher is stuck or cannot reach the outbox.

    `refusal` is why orders are refused, None when they are taken.
    """

    stats: QueueStats
    refusal: str | None
    is_relay_paused: bool
    idle_seconds: float
