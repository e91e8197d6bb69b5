"""A mail as the API, the pages and the command line show it. The keys of its JSON are stable."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from orderconfirm.models import DeliveryEvent, HistoryEntry, MerchantCopy, OutboxEntry, State
from orderconfirm.queries import Callback


def summary(entry: OutboxEntry) -> dict[str, Any]:
    """Return a mail without its history."""
    return {
        "order_id": entry.order_id,
        "state": entry.state.value,
        "delivery": entry.delivery.value if entry.delivery else None,
        "reason": entry.reason,
        "revision": entry.revision,
        "message_id": entry.message_id,
        "email": entry.recipient,
        "accepted_at": entry.accepted_at.isoformat(),
    }


def advise(entry: OutboxEntry) -> str | None:
    """Return what a person can do about a mail that has failed, by its last attempt; None for any other mail."""
    if entry.state is not State.FAILED or entry.recipient is None:
        return None
    stage = next((each.stage for each in reversed(entry.history) if each.stage), None)
    if stage == "rcpt":
        return "the relay refuses the address: send the mail again to another one, or retry once the address works"
    if stage == "render":
        return "correct the template, in TEMPLATES_DIR if it is yours, and retry"
    return "retry once the cause is removed"


def detail(entry: OutboxEntry, waiting: str | None, callbacks: Iterable[Callback]) -> dict[str, Any]:
    """Return a mail with its history, and its order's earlier mails and `callbacks`.

    `waiting` is why it is not being sent yet.
    """
    return {
        **summary(entry),
        "waiting": waiting,
        "changed_at": entry.changed_at.isoformat(),
        "due_at": entry.due_at.isoformat() if entry.state in State.DUE else None,
        "attempts": entry.attempts,
        "possible_copies": entry.possible_copies,
        "request_id": entry.request_id,
        "earlier_mails": [summary(each) for each in entry.earlier],
        "history": [_history(each) for each in entry.history],
        "deliveries": [_delivery(each) for each in entry.deliveries],
        "merchant_copy": _copy(entry.merchant_copy) if entry.merchant_copy else None,
        "callbacks": [callback(each) for each in callbacks],
    }


def _copy(copy: MerchantCopy) -> dict[str, Any]:
    return {
        "email": copy.recipient,
        "message_id": copy.message_id,
        "state": copy.state.value,
        "delivery": copy.delivery.value if copy.delivery else None,
        "reason": copy.reason,
        "changed_at": copy.changed_at.isoformat(),
        "due_at": copy.due_at.isoformat() if copy.state in State.DUE else None,
        "attempts": copy.attempts,
        "possible_copies": copy.possible_copies,
        "history": [_history(each) for each in copy.history],
        "deliveries": [_delivery(each) for each in copy.deliveries],
    }


def callback(callback: Callback) -> dict[str, Any]:
    """Return an event that is posted to the shop."""
    return {
        "webhook_id": callback.webhook_id,
        "revision": callback.revision,
        "event": callback.event,
        "at": callback.at.isoformat(),
        "state": callback.state.value,
        "attempts": callback.attempts,
        "tried_at": callback.tried_at.isoformat() if callback.tried_at else None,
        "due_at": callback.due_at.isoformat() if callback.due_at else None,
        "status": callback.status,
        "reason": callback.reason,
    }


def _history(event: HistoryEntry) -> dict[str, Any]:
    return {
        "at": event.at.isoformat(),
        "revision": event.revision,
        "event": event.event,
        "state": event.state.value,
        "stage": event.stage,
        "code": event.code,
        "text": event.text,
        "seconds": round(event.seconds, 3) if event.seconds is not None else None,
    }


def _delivery(event: DeliveryEvent) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "revision": event.revision,
        "event": event.event,
        "at": event.at.isoformat(),
        "code": event.code,
        "text": event.text,
    }
