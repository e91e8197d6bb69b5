"""The outbox's tables and indexes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from orderconfirm.limits import MAX_IDEMPOTENCY_KEY_LENGTH
from orderconfirm.models import State
from orderconfirm.order.order_id import MAX_ORDER_ID_LENGTH
from orderconfirm.queries import CallbackState


def _state_in(states: Collection[str]) -> str:
    """Return the condition of a partial index as SQL text. A query uses the index only if it has the same text."""
    return f"state IN ({', '.join(repr(str(state)) for state in State if state in states)})"


IS_DUE_STATE = _state_in(State.DUE)
IS_LEASED_STATE = _state_in(State.LEASED)
IS_ATTENTION_STATE = _state_in(State.ATTENTION)
HAS_POSSIBLE_COPIES = "possible_copies > 0"
#: Finished mails whose content is not yet deleted.
IS_FINISHED_WITH_CONTENT = f"{_state_in(State.TERMINAL)} AND payload IS NOT NULL"
IS_WAITING_CALLBACK = f"state = '{CallbackState.WAITING}'"
IS_UNDELIVERED_CALLBACK = f"state IN ('{CallbackState.FAILED}', '{CallbackState.GONE}')"

metadata = MetaData()

_Id = BigInteger().with_variant(Integer, "sqlite")


def _progress() -> tuple[Column[Any], ...]:
    """Return the columns for the sending progress of a mail or a copy."""
    return (
        Column("state", String(16), nullable=False),
        Column("changed_at", Double, nullable=False),
        Column("due_at", Double, nullable=False),
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("possible_copies", Integer, nullable=False, server_default="0"),
        Column("reason", Text),
        #: The last delivery that a webhook reported, and the time of that event.
        Column("delivery", String(16)),
        Column("delivery_at", Double),
    )


def _lease() -> tuple[Column[Any], ...]:
    """Return the columns of a lease. `lease_owner` is the process that holds it (ProcessLocks.owner)."""
    return Column("lease_token", String(32)), Column("lease_owner", String(16)), Column("lease_until", Double)


#: One row per mail, never deleted. All times are seconds since 1970 by the database's clock.
outbox = Table(
    "outbox",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("shop", String(64), nullable=False),
    Column("order_id", String(MAX_ORDER_ID_LENGTH), nullable=False),
    #: 0 for the order's first mail, 1, 2 … for resends.
    Column("revision", Integer, nullable=False, server_default="0"),
    Column("fingerprint", String(64), nullable=False),
    Column("message_id", String(255), nullable=False),
    #: In lower case, for searches. The mail is sent to the address in `payload`, exactly as written there.
    Column("recipient", String(254)),
    #: Hash of the recipient, as in `suppressions`.
    Column("address_hash", String(64)),
    #: {"request": …, "defaults": …} in canonical JSON.
    Column("payload", Text),
    Column("accepted_at", Double, nullable=False),
    #: First counted attempt since the mail was accepted or requeued. MAIL_GIVE_UP_AFTER counts from here.
    Column("tried_at", Double),
    Column("send_before", Double),
    *_progress(),
    #: When the order's personal data was erased.
    Column("erased_at", Double),
    *_lease(),
    #: The X-Request-ID of the request that placed or resent the mail.
    Column("request_id", Text),
    UniqueConstraint("shop", "order_id", "revision", name="outbox_order"),
)


def _partial_index(name: str, condition: str, *columns: Column[Any]) -> None:
    Index(name, *columns, sqlite_where=text(condition), postgresql_where=text(condition))


#: For lists, newest first: of a shop, of a state, of a recipient, of a delivery.
Index("outbox_newest", outbox.c.shop, outbox.c.accepted_at, outbox.c.id)
Index("outbox_state", outbox.c.shop, outbox.c.state, outbox.c.accepted_at, outbox.c.id)
Index("outbox_recipient", outbox.c.shop, outbox.c.recipient, outbox.c.accepted_at, outbox.c.id)
_partial_index(
    "outbox_delivery",
    "delivery IS NOT NULL",
    *(outbox.c.shop, outbox.c.delivery, outbox.c.state, outbox.c.accepted_at, outbox.c.id),
)
#: By shop, because each shop has its share of the connections.
_partial_index("outbox_due_by_shop", IS_DUE_STATE, outbox.c.shop, outbox.c.due_at)
_partial_index("outbox_leased", IS_LEASED_STATE, outbox.c.lease_until)
_partial_index("outbox_attention", IS_ATTENTION_STATE, outbox.c.state)
_partial_index("outbox_copies", HAS_POSSIBLE_COPIES, outbox.c.possible_copies)
_partial_index("outbox_kept", IS_FINISHED_WITH_CONTENT, outbox.c.changed_at)

#: The merchant's copy of an order's first mail, with that mail's id and content. Copies have their own table, so
#: that no statement that claims, counts or lists mails includes them, not even in an older version that still runs.
merchant_copies = Table(
    "merchant_copies",
    metadata,
    Column("id", _Id, ForeignKey("outbox.id"), primary_key=True, autoincrement=False),
    Column("shop", String(64), nullable=False),
    Column("message_id", String(255), nullable=False),
    Column("recipient", String(254), nullable=False),
    Column("tried_at", Double),
    *_progress(),
    *_lease(),
)
_partial_index("merchant_copies_due", IS_DUE_STATE, merchant_copies.c.shop, merchant_copies.c.due_at)
_partial_index("merchant_copies_leased", IS_LEASED_STATE, merchant_copies.c.lease_until)

#: The request of each idempotency key, kept as long as its order's content.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("shop", String(64), primary_key=True),
    Column("idempotency_key", String(MAX_IDEMPOTENCY_KEY_LENGTH), primary_key=True),
    Column("order_id", String(MAX_ORDER_ID_LENGTH), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Index("idempotency_keys_order", "shop", "order_id"),
)

#: The events of each mail, in order, kept as long as the order's content. Of an erased order, only the erasure is left.
history = Table(
    "history",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("mail_id", _Id, ForeignKey("outbox.id"), nullable=False, index=True),
    Column("at", Double, nullable=False),
    Column("event", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("stage", String(16)),
    Column("code", Integer),
    Column("text", Text),
    Column("seconds", Double),
    #: Whether the event is about the merchant's copy of the mail.
    Column("is_copy", Boolean, nullable=False, server_default=false()),
)


#: Events that the relay reported about sent mails, each once, kept as long as the order's content. `mail_id` is null if
#: an event belongs to no known mail, or to one whose content is deleted.
delivery_events = Table(
    "delivery_events",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("event_id", String(128), nullable=False, unique=True),
    Column("mail_id", _Id, ForeignKey("outbox.id")),
    Column("received_at", Double, nullable=False),
    Column("at", Double, nullable=False),
    Column("event", String(32), nullable=False),
    Column("code", Integer),
    Column("text", Text),
    Column("raw", Text),
    #: As in `history`.
    Column("is_copy", Boolean, nullable=False, server_default=false()),
    Index("delivery_events_mail", "mail_id", "received_at"),
)

#: Webhooks of shop platforms that led to no mail: of each order the newest one.
webhooks = Table(
    "webhooks",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("shop", String(64), nullable=False),
    Column("platform", String(16), nullable=False),
    Column("topic", String(64), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("order_id", String(MAX_ORDER_ID_LENGTH)),
    Column("received_at", Double, nullable=False, index=True),
    Column("body", Text, nullable=False),
    UniqueConstraint("shop", "order_id", name="webhooks_order"),
)

#: Events of mails that are posted to the shop, kept as long as the order's content. They repeat nothing personal.
callbacks = Table(
    "callbacks",
    metadata,
    Column("id", _Id, primary_key=True),
    #: The same in each attempt, so that the receiver recognises a repetition.
    Column("webhook_id", String(40), nullable=False),
    Column("mail_id", _Id, ForeignKey("outbox.id"), nullable=False, index=True),
    Column("shop", String(64), nullable=False),
    #: What happened and when, and the mail's state, delivery, and reason for it at that time.
    Column("event", String(16), nullable=False),
    Column("at", Double, nullable=False),
    Column("mail_state", String(16), nullable=False),
    Column("delivery", String(16)),
    Column("cause", String(16)),
    #: The SMTP reply's code.
    Column("code", Integer),
    Column("state", String(16), nullable=False),
    #: While an attempt has the callback leased, the end of that lease.
    Column("due_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    #: The last attempt: its end, the HTTP status, and why it was no success.
    Column("tried_at", Double),
    Column("status", Integer),
    Column("reason", Text),
    Column("lease_token", String(32)),
)
_partial_index("callbacks_waiting", IS_WAITING_CALLBACK, callbacks.c.shop, callbacks.c.due_at)
_partial_index("callbacks_undelivered", IS_UNDELIVERED_CALLBACK, callbacks.c.id)

#: Callback URLs that responded with 410 Gone. Nothing is posted there until a replay.
gone_endpoints = Table(
    "gone_endpoints",
    metadata,
    Column("url", Text, primary_key=True),
    Column("gone_at", Double, nullable=False),
)

#: Hashes of the addresses that bounced permanently or reported spam. Mails to them are held.
suppressions = Table(
    "suppressions",
    metadata,
    Column("shop", String(64), primary_key=True),
    Column("address_hash", String(64), primary_key=True),
    Column("since", Double, nullable=False),
    Column("event", String(32), nullable=False),
    #: When a person released the address. Events from before that time no longer count.
    Column("released_at", Double),
    #: The mail that the event is about; null if an earlier version wrote the row.
    Column("mail_id", BigInteger),
)


#: Implausible jumps of the clock. Its times are not trusted from `noticed_at` until `trusted_from`. After the clock is
#: set back, both are in the future, and the clock is trusted again.
clock_jumps = Table(
    "clock_jumps",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("noticed_at", Double, nullable=False),
    Column("trusted_from", Double, nullable=False),
    Column("seconds", Double, nullable=False),
)

#: The processes that send. `connections` is how many connections each may have open to the relay of an account.
senders = Table(
    "senders",
    metadata,
    #: As in `outbox.lease_owner`.
    Column("name", String(16), primary_key=True),
    #: See RelayPause.
    Column("account", String(64), primary_key=True, server_default=text("''")),
    Column("connections", Integer, nullable=False),
    Column("joined_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    #: Since when and why this sender has paused, and when it tries the relay again. Null while it sends.
    Column("paused_since", Double),
    Column("pause_reason", Text),
    Column("next_try_at", Double),
    #: What an operator does about it; null also if an earlier version wrote the row.
    Column("pause_advice", Text),
)
