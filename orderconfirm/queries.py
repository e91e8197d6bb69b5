"""What a person or a monitor asks about the outbox, and the values that answer it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orderconfirm.models import Delivery, State


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
class QueueStats:
    """Counts by state, and how long the oldest mail that should be sent by now has waited.

    `mails` counts the states that are pending or need attention; `oldest_due` is in seconds. A mail that is being sent
    still waits.
    """

    mails: dict[State, int]
    oldest_due: float
    possible_copies: int

    @property
    def pending(self) -> int:
        """The number of mails on which the service still works."""
        return sum(count for state, count in self.mails.items() if state in State.PENDING)


#: The name of the relay account of the settings. Another account has the name of the first shop that uses it.
COMMON_ACCOUNT = ""


@dataclass(frozen=True, slots=True)
class RelayPause:
    """Why and since when a sender has sent no mails through a relay account, and what an operator does about it.

    `next_try_at` is when it tries the relay again.
    """

    account: str
    reason: str
    since: datetime
    next_try_at: datetime
    advice: str = ""

    @property
    def relay(self) -> str:
        """The relay as a sentence names it."""
        return f"the relay of {self.account}" if self.account else "the relay"


#: Seconds without a completed round after which a dispatcher counts as stuck.
STUCK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class HealthStatus:
    """The health of this process and of all senders. `idle_seconds` grows while the dispatcher is stuck.

    `max_pending` is how many mails may be pending, and `refusal` why this process has just refused orders, None after
    it accepted one. `senders` is how many processes send, `pauses` the longest pause of each paused relay account.
    """

    stats: QueueStats
    max_pending: int
    refusal: str | None
    idle_seconds: float
    senders: int
    pauses: tuple[RelayPause, ...]

    @property
    def is_full(self) -> bool:
        """Whether new orders are refused because too many mails are pending."""
        return self.stats.pending >= self.max_pending

    @property
    def is_stuck(self) -> bool:
        return self.idle_seconds > STUCK_SECONDS

    @property
    def unready_reason(self) -> str | None:
        """Why this process should get no orders; None while it is ready."""
        return "the dispatcher is stuck" if self.is_stuck else self.refusal

    @property
    def problem(self) -> str | None:
        """What a person must mend: what makes this process unready, or a full outbox, which need not."""
        if self.is_stuck or not self.is_full:
            return self.unready_reason
        return (
            f"the outbox is full: {self.stats.pending:,} of at most {self.max_pending:,} mails wait, so orders are "
            "refused; mend what keeps mails from being sent, or raise OUTBOX_MAX_PENDING"
        )


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of the outbox at a glance, of one shop's mails or of all.

    `senders` is how many processes send, `pauses` the longest pause of each paused relay account. `sent_per_minute` is
    how many mails were sent in each minute of the last hour, the newest minute last; it is shorter when too many were
    sent to count.
    """

    stats: QueueStats
    senders: int
    pauses: tuple[RelayPause, ...]
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
