"""What a shop platform's webhook turns out to be: an order in this service's own schema, or why it is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What a webhook is, as it is stored and answered."""

    ORDER = "order"
    #: An order that must not be confirmed yet, or not any more: unpaid, a draft, cancelled.
    NOT_DUE = "not_due"
    PING = "ping"
    TEST = "test"
    #: Something else that the platform reports, like a deleted order or a product.
    OTHER_TOPIC = "other_topic"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Reading:
    """A webhook that was read. `order` is a request body that is not validated yet; `reason` explains its absence."""

    outcome: Outcome
    reason: str = ""
    order: Mapping[str, Any] | None = None


class Unreadable(ValueError):
    """The body is not what the platform documents. The message says what is missing."""


#: Whether a signature is valid, by the headers (names in lower case), the raw body, the secrets, and the Unix time.
Verifier = Callable[[Mapping[str, str], bytes, Sequence[str], float], bool]
#: What a verified webhook is: its headers (names in lower case), the decoded body, and whether only paid orders count.
Reader = Callable[[Mapping[str, str], Any, bool], Reading]


@dataclass(frozen=True, slots=True)
class Format:
    """A platform's webhook format."""

    name: str
    verify: Verifier
    read: Reader
    #: Where the shop finds the secret; logged with a wrong signature.
    secret_place: str


def order(body: Mapping[str, Any]) -> Reading:
    """Return the reading of an order, without its absent values."""
    return Reading(Outcome.ORDER, order={name: value for name, value in body.items() if value not in (None, "", [])})
