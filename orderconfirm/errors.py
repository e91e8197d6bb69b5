"""Everything that can go wrong, as one tree, split by what the caller does next.

OrderConfirmError
├── SettingsError            stop the start, tell the operator
├── InvalidRequest           tell the caller what to change (422)
│   └── InvalidOrder             …in an order: nothing was stored
├── OrderConflict            another order has this id (409)
├── KeyConflict              another request came with this idempotency key (409)
├── WrongState               the mail is where this cannot be done (409)
├── ContentDeleted           there is nothing left to send (410)
├── OutboxUnavailable        nothing was stored, the shop tries again (503)
│   ├── OutboxFull           …because too many mails wait already
│   └── UnconfirmedWrite     stored or not, nobody knows: the same request again is safe (503)
├── TemplateError            this mail cannot be made: give up on it, go on with the rest
├── UnreadableOrder          its row is damaged: give up on it, go on with the rest
└── DeliveryFailure          one attempt to send, ended badly
    ├── TryLater             not sent: this order again, later
    ├── Refused              not sent: this order has failed for good
    ├── Denied               not sent: by a policy, for this recipient or for all; other mails tell
    ├── RelayTrouble         not sent: no order's fault, pause the whole relay
    │   ├── RelayMisconfigured   …and only an operator can end it (password, sender, quota)
    │   ├── SlowDown             …for a moment: too many mails a second
    │   └── TooManyConnections   …over another connection
    └── UnknownOutcome       contact lost after the final dot: sent or not, nobody knows
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class OrderConfirmError(Exception):
    """Root of the tree."""


class SettingsError(OrderConfirmError):
    """The environment cannot be used. `problems` names each variable, never a secret."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with a body: an RFC 6901 pointer and a sentence that says what to do."""

    pointer: str
    detail: str


class InvalidRequest(OrderConfirmError):
    """A query or a body can be read but not be used. `faults` holds all that is wrong."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(f"{len(errors)} faults")
        self.errors = tuple(errors)


class InvalidOrder(InvalidRequest):
    """The body is JSON but not an order."""


class OrderConflict(OrderConfirmError):
    """The order id belongs to an order with other content. `pointers` name what differs, if still known."""

    def __init__(self, order_id: str, pointers: Sequence[str]) -> None:
        super().__init__(f"order {order_id} was accepted before with other content")
        self.order_id = order_id
        self.pointers = tuple(pointers)


class KeyConflict(OrderConfirmError):
    """The idempotency key came before with another request, for `order_id`."""

    def __init__(self, key: str, order_id: str) -> None:
        super().__init__(f"the idempotency key {key} came before with another request, for order {order_id}")


class WrongState(OrderConfirmError):
    """What was asked cannot be done to a mail in this state."""


class ContentDeleted(OrderConfirmError):
    """The order's content is deleted: its retention is over, or somebody erased it."""


class OutboxUnavailable(OrderConfirmError):
    """The database did not take the write (full, locked, gone). Nothing was stored."""


class UnconfirmedWrite(OutboxUnavailable):
    """The database did not confirm a commit in time, or at all. The write may or may not be stored."""


class OutboxFull(OutboxUnavailable):
    """As many mails wait as may. Nothing was stored."""


class UnreadableOrder(OrderConfirmError):
    """A stored order cannot be read back."""


class TemplateError(OrderConfirmError):
    """A template cannot be compiled or rendered. The text names the file, the line and the reason."""


class DeliveryFailure(OrderConfirmError):
    """An attempt that did not end with a 250. `details` quote where it ended and what the relay said.

    `stage` is one of connect, banner, ehlo, starttls, auth, mail, rcpt, data, dot; `code` the SMTP reply code, None
    when there was no reply; `text` the relay's words; `retry_after` the seconds it asked for, None when it did not.
    """

    def __init__(self, stage: str, text: str, code: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(f"{stage}: {code or 'no reply'} {text}")
        self.stage = stage
        self.code = code
        self.text = text
        self.retry_after = retry_after


class TryLater(DeliveryFailure):
    """Not sent, and may go through later: a temporary refusal of this one order."""


class Refused(DeliveryFailure):
    """Not sent, and never will be: the relay refused this one order for good."""


class Denied(DeliveryFailure):
    """Not sent: a policy of the relay is against this recipient, or against everything that we send."""


class RelayTrouble(DeliveryFailure):
    """Not sent, and no other order would be now: the relay is away or turns everyone down."""


class RelayMisconfigured(RelayTrouble):
    """The relay turns us down until an operator changes something: password, sender domain, quota."""


class SlowDown(RelayTrouble):
    """The relay takes mail, only not this fast."""


class TooManyConnections(RelayTrouble):
    """The relay takes mail, only not over so many connections."""


class UnknownOutcome(DeliveryFailure):
    """Contact was lost between the final dot and its reply: the relay may or may not have the mail."""
