"""What happened to an order's mails, in words for a person: one timeline of attempts, events, reports and requests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orderconfirm.models import Delivery, DeliveryEvent, Event, HistoryEntry, OutboxEntry, State
from orderconfirm.queries import Callback, CallbackState

#: The CSS class of each state and delivery.
KINDS: dict[str, str] = {
    State.QUEUED: "busy",
    State.SENDING: "busy",
    State.SENT: "good",
    State.UNKNOWN: "warning",
    State.HELD: "warning",
    State.FAILED: "bad",
    State.EXPIRED: "bad",
    State.CANCELLED: "off",
    Delivery.DELIVERED: "good",
    Delivery.SOFT_BOUNCED: "warning",
    Delivery.BOUNCED: "bad",
    Delivery.COMPLAINED: "bad",
    Delivery.REJECTED: "bad",
    Delivery.SUSPENDED: "bad",
}

#: What each state and each reported delivery means for the customer's mail.
MEANINGS: dict[str, str] = {
    State.QUEUED: "The mail is on disk and waits for its turn.",
    State.SENDING: "The mail is being sent.",
    State.SENT: "The relay took the mail.",
    State.UNKNOWN: "The relay may have taken the mail: the connection was lost before its reply. It is sent again.",
    State.FAILED: "The mail was not sent, and is not tried again by itself.",
    State.HELD: "The mail was not sent. It waits for a person’s decision.",
    State.CANCELLED: "The mail is not sent: it was cancelled.",
    State.EXPIRED: "The mail was not sent: its time had passed.",
    Delivery.DELIVERED: "The recipient’s server accepted it.",
    Delivery.SOFT_BOUNCED: "The recipient’s server refused it for now, and the relay tries again.",
    Delivery.BOUNCED: "The recipient’s server refused it: the customer does not have it.",
    Delivery.COMPLAINED: "The customer marked it as spam.",
    Delivery.REJECTED: "The relay did not send it: the address is on its own suppression list.",
    Delivery.SUSPENDED: "The relay holds it: the sender’s domain or account is suspended.",
}

_EVENTS: dict[str, tuple[str, str]] = {
    Event.SENT: ("good", "Sent: the relay took the mail"),
    Event.DEFERRED: ("warning", "Not sent: tried again later"),
    Event.UNKNOWN: ("warning", "Unknown: the connection was lost before the relay’s reply"),
    Event.FAILED: ("bad", "Failed"),
    Event.EXPIRED: ("bad", "Expired"),
    Event.HELD: ("warning", "Held for a person’s decision"),
    Event.RELEASED: ("busy", "Returned to the queue unsent"),
    Event.INTERRUPTED: ("warning", "Interrupted: the process that was sending it died"),
    Event.REQUEUED: ("person", "Retried on request"),
    Event.CANCELLED: ("person", "Cancelled on request"),
    Event.REPLACED: ("person", "Cancelled, because another mail takes its place"),
    Event.CHANGED: ("person", "The shop changed the order: sending it again uses the new content"),
    Event.RESENT: ("person", "Sent again on request, as a new mail"),
    Event.ERASED: ("person", "Personal data erased on request"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the timeline. `reply` quotes the relay or a person; `seconds` is how long an attempt took."""

    at: datetime
    revision: int
    kind: str
    title: str
    reply: str = ""
    seconds: float | None = None


_CALLBACKS: dict[str, str] = {
    CallbackState.WAITING: "Callback {} is not delivered yet",
    CallbackState.DELIVERED: "Callback {} delivered to the shop",
    CallbackState.FAILED: "Callback {} failed",
    CallbackState.GONE: "Callback {} not posted: the shop’s URL is switched off",
}


def timeline(entry: OutboxEntry, callbacks: Iterable[Callback]) -> list[Step]:
    """Return the steps of all mails of an order, and of the merchant's copy, in the order in which they happened."""
    first = (*entry.earlier, entry)[0]
    accepted = Step(first.accepted_at, 0, "busy", "Accepted: the order is on disk")
    steps = [_event(each) for each in entry.history] + [_report(each) for each in entry.deliveries]
    if copy := entry.merchant_copy:
        of_copy = [_event(each) for each in copy.history] + [_report(each) for each in copy.deliveries]
        steps += [replace(step, title=f"Merchant’s copy: {step.title}") for step in of_copy]
    steps += [_callback(each) for each in callbacks]
    return sorted([accepted, *steps], key=_sort_time)


def _sort_time(step: Step) -> datetime:
    """Return a step's place in time: a relay that reports whole seconds means any time within that second."""
    return step.at + timedelta(seconds=1) if step.kind == "report" and not step.at.microsecond else step.at


def _event(entry: HistoryEntry) -> Step:
    kind, title = _EVENTS.get(entry.event, ("off", entry.event))
    reply = " ".join(filter(None, (entry.stage, _quote(entry.code, entry.text))))
    return Step(entry.at, entry.revision, kind, title, reply, entry.seconds)


def _report(event: DeliveryEvent) -> Step:
    title = f"Reported by the relay: {event.event.replace('_', ' ')}"
    return Step(event.at, event.revision, "report", title, _quote(event.code, event.text))


def _callback(callback: Callback) -> Step:
    kind = {CallbackState.DELIVERED: "report", CallbackState.WAITING: "busy"}.get(callback.state, "warning")
    title = _CALLBACKS[callback.state].format(callback.event)
    return Step(callback.tried_at or callback.at, callback.revision, kind, title, callback.reason or "")


def _quote(code: int | None, text: str | None) -> str:
    """Return a reply, whose text may begin with its code."""
    text = text or ""
    return f"{code} {text}".strip() if code and not text.startswith(str(code)) else text
