"""The package's exceptions as one tree, split by what the caller does next.

OrderConfirmError
├── SettingsError            the service does not start; the operator corrects the settings
├── InvalidRequest           the client must change the request (422)
│   └── InvalidOrder             … an order; nothing was stored
├── OrderConflict            another order has this id (409)
├── KeyConflict              another request used this idempotency key (409)
├── WrongState               the mail's state does not allow this (409)
├── ContentDeleted           nothing is left to send (410)
├── OutboxUnavailable        try again later (503): nothing was stored unless it is an UnconfirmedWrite
│   ├── DatabaseUnreachable  … because no connection can be made; a start waits for it
│   ├── DatabaseStuck        … because the database did not respond in time: somebody may hold a lock
│   ├── SchemaMismatch       … because this version cannot use its tables; waiting does not help
│   ├── OutboxFull           … because too many mails are pending
│   └── UnconfirmedWrite     it is unknown whether the write is stored; repeating the same request is safe (503)
├── TransferRefused          the outbox cannot be copied like this: the operator stops services or gives another target
├── TemplateError            the mail cannot be rendered: mark it as failed and continue with the next
├── UnreadableOrder          the stored order is damaged: mark it as failed and continue with the next
└── DeliveryFailure          an attempt to send a mail failed
    ├── TryLater             not sent: retry this mail later
    ├── Refused              not sent: this mail has failed for good
    ├── Denied               not sent: refused by policy; whether one recipient or all is judged from other sends
    ├── RelayTrouble         not sent: the problem affects every mail, so pause the relay
    │   ├── RelayMisconfigured   … until an operator corrects the password, the sender or the quota
    │   ├── SlowDown             … briefly: too many mails per second
    │   └── TooManyConnections   … for new connections only
    └── UnknownOutcome       connection lost after the end of the message: it is unknown whether it was sent

outbox/attempts.py catches every DeliveryFailure. outbox/retry.py decides what becomes of the mail, outbox/denials.py
what a Denied one means, and outbox/breaker.py whether other mails wait after RelayTrouble.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class OrderConfirmError(Exception):
    """Root of the tree."""


class SettingsError(OrderConfirmError):
    """The settings cannot be used. `problems` has a sentence for each, which names the variable and never a secret."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


#: The last line of a refusal to start.
CHECK_HINT = "Run flask check to see everything that is wrong with this set-up."


@dataclass(frozen=True, slots=True)
class FieldError:
    """An error in one field of a request: its JSON pointer (RFC 6901) and a sentence that says what to do."""

    pointer: str
    detail: str


class InvalidRequest(OrderConfirmError):
    """A query or a body is well-formed but invalid. `errors` lists every field error."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(f"{len(errors)} field errors")
        self.errors = tuple(errors)


class InvalidOrder(InvalidRequest):
    """The body is JSON but not a valid order."""


class OrderConflict(OrderConfirmError):
    """The order id belongs to an order with different content.

    `pointers` are JSON pointers to the differences; empty once the stored content is deleted.
    """

    def __init__(self, order_id: str, pointers: Sequence[str]) -> None:
        super().__init__(f"order {order_id} was already accepted with different content")
        self.order_id = order_id
        self.pointers = tuple(pointers)


class KeyConflict(OrderConfirmError):
    """The idempotency key was already used for another request, about `order_id`."""

    def __init__(self, key: str, order_id: str) -> None:
        super().__init__(f"the idempotency key {key} was already used for another request, about order {order_id}")


class WrongState(OrderConfirmError):
    """The mail's state does not allow the operation."""


class ContentDeleted(OrderConfirmError):
    """The order's content was deleted, by retention or by erasure."""


class OutboxUnavailable(OrderConfirmError):
    """The database cannot be used (full, locked, unreachable). Nothing was stored, unless it is an UnconfirmedWrite."""


class DatabaseUnreachable(OutboxUnavailable):
    """No connection to the database server can be made. It may still be starting."""


class DatabaseStuck(OutboxUnavailable):
    """The database did not respond in time. `outbox/lock_holders.py` finds out whether somebody holds a lock."""


class SchemaMismatch(OutboxUnavailable):
    """This version cannot use the database's tables. The text says why, and what to do."""


class UnconfirmedWrite(OutboxUnavailable):
    """The database did not confirm a commit, or not in time. The write may or may not be stored."""


class OutboxFull(OutboxUnavailable):
    """The number of pending mails has reached its limit. Nothing was stored."""


class TransferRefused(OrderConfirmError):
    """The outbox cannot be copied to another database as it is now. The text says what to do."""


class UnreadableOrder(OrderConfirmError):
    """A stored order cannot be decoded."""


class TemplateError(OrderConfirmError):
    """A template cannot be compiled or rendered. The text names the file, the line and the reason."""


#: The stages from RCPT TO on, when a failure may concern only this mail.
ORDER_STAGES = frozenset({"rcpt", "data", "end_of_data"})


class DeliveryFailure(OrderConfirmError):
    """An attempt that did not end with a 250 reply.

    `stage` is where it ended: connect, banner, ehlo, starttls, auth, mail, rcpt, data or end_of_data. `code` is the
    SMTP reply code, None without a reply; `text` is the reply's text or the error. `retry_after` is the number of
    seconds after which the relay accepts mail again, None when it gives none.
    """

    def __init__(self, stage: str, text: str, code: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(f"{stage}: {code} {text}" if code else f"{stage}: {text}")
        self.stage = stage
        self.code = code
        self.text = text
        self.retry_after = retry_after


class TryLater(DeliveryFailure):
    """Not sent: refused temporarily, or the connection was lost before the end of the message (`code` is None)."""


class Refused(DeliveryFailure):
    """Not sent: the relay refused this mail permanently."""


class Denied(DeliveryFailure):
    """Not sent: the relay refused this mail by a policy, which concerns this recipient or all mail."""


class RelayTrouble(DeliveryFailure):
    """Not sent, and no other mail would be: the relay is unreachable or refuses all mail."""


class RelayMisconfigured(RelayTrouble):
    """The relay refuses all mail until an operator corrects the password, the sender domain or the quota."""


class SlowDown(RelayTrouble):
    """The relay accepts mail, but not at this rate."""


class TooManyConnections(RelayTrouble):
    """The relay accepts mail, but not over this many connections."""


class UnknownOutcome(DeliveryFailure):
    """The connection was lost between the end of the message and the reply: the relay may have accepted the mail."""
