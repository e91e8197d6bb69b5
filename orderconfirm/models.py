"""The values that travel through the service: an order, its mail, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, nonmember

#: The shop of a caller without a key of its own.
DEFAULT_SHOP = "default"


@dataclass(frozen=True, slots=True)
class Email:
    """A finished confirmation: what the customer will read, before it becomes a message."""

    subject: str
    text: str
    html: str


class State(StrEnum):
    """The state of an order's mail, and the named sets of states that the code asks for."""

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

    #: Sent once their due time has come.
    DUE = nonmember(frozenset({QUEUED, UNKNOWN}))
    #: Held by a lease.
    LEASED = nonmember(frozenset({SENDING}))
    #: Ends soon without anybody's help: to be waited for, and not to be sent again meanwhile.
    UNDER_WAY = nonmember(frozenset({QUEUED, SENDING}))
    #: Still changes without anybody's help.
    PENDING = nonmember(frozenset({QUEUED, SENDING, UNKNOWN}))
    #: Never changes without anybody's help: its content is purged after the retention time.
    TERMINAL = nonmember(frozenset({SENT, FAILED, CANCELLED, EXPIRED}))
    #: Ended without having been sent, by no one's wish.
    NOT_SENT = nonmember(frozenset({FAILED, EXPIRED}))
    #: Waits for somebody to look at it.
    ATTENTION = nonmember(frozenset({FAILED, HELD}))
    #: Can be put back into the queue.
    RETRYABLE = nonmember(frozenset({FAILED, HELD, EXPIRED, UNKNOWN}))
    #: Can be withdrawn.
    CANCELLABLE = nonmember(frozenset({QUEUED, UNKNOWN, HELD, FAILED}))
    #: Is held when its address is suppressed.
    HOLDABLE = nonmember(frozenset({QUEUED, UNKNOWN, FAILED}))


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
    """A delivery event as it came in, with what it names its mail by.

    `event` is the provider's own word and `delivery` what it means for the mail, None for events that mean nothing.
    `mail_id` is the mail's id in the outbox, `raw` the whole event as JSON.
    """

    event_id: str
    event: str
    at: datetime
    code: int | None
    text: str | None
    delivery: Delivery | None
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

    `request` is the shop's request in canonical form, `defaults` what the service filled in; together they make the
    order.
    """

    shop: str
    order_id: str
    message_id: str
    recipient: str
    request: dict[str, object]
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
