"""The values that the parts of the service exchange: an order's mail, its state and its history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, nonmember

#: The shop of requests without an API key.
DEFAULT_SHOP = "default"


@dataclass(frozen=True, slots=True)
class Email:
    """A rendered confirmation, before it becomes a MIME message. `language` is a language tag (BCP 47)."""

    subject: str
    text: str
    html: str
    language: str = "en"


class State(StrEnum):
    """The state of an order's mail, and named sets of states."""

    #: Stored, waits for its due time.
    QUEUED = "queued"
    #: Leased by a dispatcher that is sending it.
    SENDING = "sending"
    #: The relay replied 250 to the complete message.
    SENT = "sent"
    #: The connection was lost after the end of the message. Sent again later with the same Message-ID, unless held.
    UNKNOWN = "unknown"
    #: Permanently refused, given up, or impossible to render.
    FAILED = "failed"
    #: Waits for a person's decision.
    HELD = "held"
    #: Cancelled before it was sent.
    CANCELLED = "cancelled"
    #: Not sent before its `send_before`.
    EXPIRED = "expired"

    #: Claimed once their due time has come.
    DUE = nonmember(frozenset({QUEUED, UNKNOWN}))
    #: Have a lease.
    LEASED = nonmember(frozenset({SENDING}))
    #: Queued or being sent: a caller may wait for the result, and a resend is refused meanwhile.
    UNDER_WAY = nonmember(frozenset({QUEUED, SENDING}))
    #: The service still works on them.
    PENDING = nonmember(frozenset({QUEUED, SENDING, UNKNOWN}))
    #: Final: changed only on request, except that a failed mail becomes held when its address is suppressed. The
    #: content is purged after the retention period.
    TERMINAL = nonmember(frozenset({SENT, FAILED, CANCELLED, EXPIRED}))
    #: Ended unsent, without a request to cancel.
    NOT_SENT = nonmember(frozenset({FAILED, EXPIRED}))
    #: Need a person's attention.
    ATTENTION = nonmember(frozenset({FAILED, HELD}))
    #: Can be put back into the queue.
    RETRYABLE = nonmember(frozenset({FAILED, HELD, EXPIRED, UNKNOWN}))
    #: Can be cancelled.
    CANCELLABLE = nonmember(frozenset({QUEUED, UNKNOWN, HELD, FAILED}))
    #: Become held when the recipient is suppressed.
    HOLDABLE = nonmember(frozenset({QUEUED, UNKNOWN, FAILED}))


class Event(StrEnum):
    """What happened to a mail in this service; the relay's later reports are `DeliveryEvent`s."""

    #: Accepted by the relay.
    SENT = "sent"
    #: Not sent yet; retried automatically.
    DEFERRED = "deferred"
    #: The connection was lost after the end of the message.
    UNKNOWN = "unknown"
    #: Permanently refused, given up, or impossible to render.
    FAILED = "failed"
    #: Its `send_before` passed.
    EXPIRED = "expired"
    #: Set aside for a person's decision.
    HELD = "held"
    #: Returned to the queue unsent: service stopping, relay paused, lease too short, or claim abandoned.
    RELEASED = "released"
    #: The process that was sending it died.
    INTERRUPTED = "interrupted"
    #: Queued again by a person, with the same Message-ID.
    REQUEUED = "requeued"
    #: Cancelled by a person.
    CANCELLED = "cancelled"
    #: Cancelled because the order is sent again as another mail.
    REPLACED = "replaced"
    #: Created by a person as another mail of the order.
    RESENT = "resent"
    #: The shop sent the order again with other content, which a resend uses.
    CHANGED = "changed"
    #: Personal data was deleted.
    ERASED = "erased"


class Delivery(StrEnum):
    """What happened to a sent mail, as the relay's webhook reports it."""

    DELIVERED = "delivered"
    #: Temporarily refused by the recipient's server; the relay retries.
    SOFT_BOUNCED = "soft_bounced"
    BOUNCED = "bounced"
    #: Marked as spam by the recipient.
    COMPLAINED = "complained"
    #: Not sent by the relay: the address is on its suppression list.
    REJECTED = "rejected"
    #: Held by the relay: the sender's domain or account is suspended.
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """An event in the history of an order's mail number `revision`.

    `stage`, `code` and `text` are the relay's reply, if there was one; `seconds` is how long the attempt took.
    """

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
    """A relay's report about an order's sent mail number `revision`.

    `event` is the provider's name for it; `code` and `text` quote the recipient's server.
    """

    event_id: str
    revision: int
    event: str
    at: datetime
    code: int | None
    text: str | None


@dataclass(frozen=True, slots=True)
class RelayEvent:
    """A delivery event as received, with the ids that identify its mail.

    `event` is the provider's name for it, and `delivery` its meaning for the mail, None when it has none. `raw` is the
    whole event as JSON. The mail is the one with `mail_id`, its id in the outbox; without that, `shop` and `order_id`
    give the order, and `message_id` chooses among its mails. A `message_id` alone matches no mail. An event about
    a merchant's copy has only `copy_of`, the id of the copied mail.
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
    copy_of: int | None = None


@dataclass(frozen=True, slots=True)
class Resend:
    """A request to send an order's mail again: to `email`, or to the order's own address."""

    shop: str
    order_id: str
    email: str | None = None
    reason: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class MerchantCopy:
    """The shop's own copy of an order's first mail, as stored. It is sent like a mail, and is no mail of the order."""

    recipient: str
    message_id: str
    state: State
    changed_at: datetime
    due_at: datetime
    attempts: int
    possible_copies: int
    reason: str | None
    delivery: Delivery | None
    history: tuple[HistoryEntry, ...]
    deliveries: tuple[DeliveryEvent, ...]


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A mail as stored in the outbox. `possible_copies` counts attempts with an unknown outcome.

    `revision` is 0 for the order's first confirmation, and 1, 2 … for those resent by the request `request_id` or by a
    command. `recipient` is in lower case, and None once the content is deleted. `earlier` are the order's previous
    mails, oldest first, without their histories.
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
    request_id: str | None = None
    delivery: Delivery | None = None
    is_erased: bool = False
    history: tuple[HistoryEntry, ...] = ()
    deliveries: tuple[DeliveryEvent, ...] = ()
    earlier: tuple[OutboxEntry, ...] = ()
    merchant_copy: MerchantCopy | None = None


@dataclass(frozen=True, slots=True)
class NewCopy:
    """The shop's own copy that is added together with an order's first mail."""

    recipient: str
    message_id: str


@dataclass(frozen=True, slots=True)
class NewMail:
    """A mail to be added to the outbox.

    `request` is the shop's request in canonical form; together with the service's `defaults` it is the order.
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
    request_id: str | None = None
    copy: NewCopy | None = None


@dataclass(frozen=True, slots=True)
class ClaimedMail:
    """A mail leased to this process. While the lease lasts, only the holder of `lease_token` may change the mail.

    `tried_at` is the time of the first attempt since the mail was accepted or queued again; MAIL_GIVE_UP_AFTER counts
    from it. `attempts` counts the finished attempts, not the current one. With `is_copy`, this is the copy of the mail
    with this id, and `recipient` the merchant.
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
    request_id: str | None = None
    is_copy: bool = False


@dataclass(frozen=True, slots=True)
class RelayReply:
    """The relay's 250 reply to the end of the message."""

    code: int
    text: str
