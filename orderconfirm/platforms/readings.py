"""What a shop platform's webhook turns out to be: an order in this service's own schema, or why it is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What became of a webhook, as it is stored, counted and answered."""

    #: An order that was accepted, or had been before.
    ACCEPTED = "accepted"
    KNOWN = "known"
    #: An order that differs from the one that was accepted under its id.
    CHANGED = "changed"
    #: An order that must not be confirmed yet, or not any more: unpaid, a draft, cancelled.
    NOT_DUE = "not_due"
    #: The platform's own tests.
    PING = "ping"
    TEST = "test"
    #: Something else that the platform reports, like a deleted order or a product.
    OTHER_TOPIC = "other_topic"
    #: An order that cannot be read, or that the schema refuses.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Found:
    """An order in this service's schema, not validated yet."""

    order: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Nothing:
    """A webhook without an order to confirm now. `order_id` is that of an order that may be due later."""

    outcome: Outcome
    reason: str
    order_id: str | None = None


class Unreadable(ValueError):
    """The body is not what the platform documents. The message says what is missing."""


#: Headers by their names in lower case.
Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Format:
    """A platform's webhooks.

    `verify` returns whether a signature is valid, given the headers, the raw body, the secrets and the Unix time.
    `read` returns what a verified webhook is, given its topic, the decoded body, and whether only paid orders count; it
    raises Unreadable. For the log, `where_to_find_it` is where the shop finds its secret, and `how_to_switch_on` what
    it does when the platform posts nothing any more.
    """

    name: str
    topic_header: str
    verify: Callable[[Headers, bytes, Sequence[str], float], bool]
    read: Callable[[str, Any, bool], Found | Nothing]
    where_to_find_it: str
    how_to_switch_on: str
    #: Whether an unsigned request is the platform's ping.
    is_ping: Callable[[Headers], bool] = lambda _: False


def found(order: Mapping[str, Any]) -> Found:
    """Return an order without its absent values."""
    return Found({name: value for name, value in order.items() if value not in (None, "", [])})
