"""Schemas of the API's responses, and the functions that build them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from marshmallow import Schema, fields, validate

from orderconfirm import representation
from orderconfirm.models import Delivery, Event, OutboxEntry, State
from orderconfirm.platforms import Outcome
from orderconfirm.queries import Callback, CallbackState
from orderconfirm.web import problem_types

_EVENTS = validate.OneOf([event.value for event in Event])
_STATES = validate.OneOf([state.value for state in State])
_DELIVERIES = validate.OneOf([delivery.value for delivery in Delivery])
_STATUS = "failed: the same order was accepted before, and its mail was not sent; `reason` gives the cause"
_WARNINGS = "a difference between the total and its parts"
_IGNORED = "JSON pointers of unknown fields"
_EMAIL = "the recipient, in lower case; null once the content is deleted"
_REVISION = "0 for the order's first mail; each resend adds 1"
_REQUEST = "the X-Request-ID of the request that created the mail; null for a command's, or once the content is deleted"
_WAITING = "why a mail that is queued, or will be sent again, is not being sent yet"
_MESSAGE_ID = "<3f2a9c0d1b7e4f6a8c5d2e1f0a9b8c7d@shop.example>"


def _text(example: str, description: str = "", **options: Any) -> fields.String:
    return fields.String(metadata={"description": description, "examples": [example]}, **options)


def _time(example: str, description: str = "", **options: Any) -> fields.String:
    return fields.String(metadata={"description": description, "format": "date-time", "examples": [example]}, **options)


class LinksSchema(Schema):
    self = _text("/api/order-confirmation/ORD-12345", required=True)


class SummarySchema(Schema):
    """A mail without its history."""

    order_id = _text("ORD-12345", required=True)
    state = _text("queued", "the mail's state", required=True, validate=_STATES)
    delivery = _text("delivered", "the last reported delivery", allow_none=True, validate=_DELIVERIES)
    reason = _text("rcpt: 550 5.1.1 no such user", "the reason for the state", allow_none=True, required=True)
    revision = fields.Integer(required=True, metadata={"description": _REVISION, "examples": [0]})
    message_id = _text(_MESSAGE_ID, required=True)
    email = _text("john.doe@example.com", _EMAIL, allow_none=True, required=True)
    accepted_at = _time("2025-03-15T14:30:02+00:00", required=True)
    links = fields.Nested(LinksSchema, required=True)


class PlacedSchema(SummarySchema):
    """An accepted order."""

    status = _text("success", _STATUS, required=True, validate=validate.OneOf(["success", "failed"]))
    message = _text("Order confirmation queued", required=True)
    warnings = fields.List(fields.String(), required=True, metadata={"description": _WARNINGS})
    ignored_fields = fields.List(fields.String(), required=True, metadata={"description": _IGNORED})


class HistorySchema(Schema):
    """An event in a mail's history; `stage`, `code` and `text` are the relay's reply."""

    at = _time("2025-03-15T14:30:03+00:00", required=True)
    revision = fields.Integer(required=True, metadata={"description": "the revision of the mail", "examples": [0]})
    event = _text("sent", required=True, validate=_EVENTS)
    state = _text("sent", required=True, validate=_STATES)
    stage = _text("end_of_data", allow_none=True)
    code = fields.Integer(allow_none=True, metadata={"examples": [250]})
    text = _text("2.0.0 Ok: queued", allow_none=True)
    seconds = fields.Float(allow_none=True, metadata={"examples": [0.142]})


class DeliveryEventSchema(Schema):
    """A delivery event, reported by the relay."""

    event_id = _text("8a1e2c6e-0c1f-4f0e-9d0d-6b2d7c1f5a3b", required=True)
    revision = fields.Integer(required=True, metadata={"description": "the revision of the mail", "examples": [0]})
    event = _text("delivery", "the relay's name for the event", required=True)
    at = _time("2025-03-15T14:30:09+00:00", required=True)
    code = fields.Integer(allow_none=True, metadata={"examples": [250]})
    text = _text("250 2.0.0 OK", allow_none=True)


class MerchantCopySchema(Schema):
    """The shop's own copy of the order's first mail."""

    email = _text("sales@shop.example", "the address of MERCHANT_COPY_TO", required=True)
    message_id = _text(_MESSAGE_ID, required=True)
    state = _text("sent", required=True, validate=_STATES)
    delivery = _text("delivered", "the last reported delivery", allow_none=True, validate=_DELIVERIES)
    reason = _text("rcpt: 550 5.1.1 no such user", "the reason for the state", allow_none=True, required=True)
    changed_at = _time("2025-03-15T14:30:03+00:00", required=True)
    due_at = _time("2025-03-15T14:31:00+00:00", "the time of the next attempt", allow_none=True, required=True)
    attempts = fields.Integer(required=True, metadata={"examples": [1]})
    possible_copies = fields.Integer(required=True, metadata={"description": "sends with an unknown outcome"})
    history = fields.List(fields.Nested(HistorySchema), required=True)
    deliveries = fields.List(fields.Nested(DeliveryEventSchema), required=True)


class CallbackSchema(Schema):
    """An event that is posted to the shop's callback URL; `status` and `reason` are those of the last attempt."""

    webhook_id = _text("evt_5f1d0c7a9b3e4d2f8a6c1b0e7d9f3a5c", required=True)
    revision = fields.Integer(required=True, metadata={"description": "the revision of the mail", "examples": [0]})
    event = _text("delivered", required=True)
    at = _time("2025-03-15T14:30:09+00:00", required=True)
    state = _text("delivered", required=True, validate=validate.OneOf([state.value for state in CallbackState]))
    attempts = fields.Integer(required=True, metadata={"examples": [1]})
    tried_at = _time("2025-03-15T14:30:10+00:00", "the last attempt", allow_none=True, required=True)
    due_at = _time("2025-03-15T14:30:10+00:00", "the next attempt", allow_none=True, required=True)
    status = fields.Integer(allow_none=True, required=True, metadata={"examples": [200]})
    reason = _text("HTTP 503", "why it was not delivered", allow_none=True, required=True)


class MailSchema(SummarySchema):
    """A mail with its history, delivery events and callbacks."""

    waiting = _text("no process sends mails", _WAITING, allow_none=True, required=True)
    changed_at = _time("2025-03-15T14:30:03+00:00", required=True)
    due_at = _time("2025-03-15T14:31:00+00:00", "the time of the next attempt", allow_none=True, required=True)
    attempts = fields.Integer(required=True, metadata={"examples": [1]})
    possible_copies = fields.Integer(required=True, metadata={"description": "sends with an unknown outcome"})
    request_id = _text("3b1f0c9a5d7e4f60", _REQUEST, allow_none=True, required=True)
    earlier_mails = fields.List(
        fields.Nested(SummarySchema),
        required=True,
        metadata={"description": "the order's mails before the last resend, oldest first"},
    )
    history = fields.List(fields.Nested(HistorySchema), required=True)
    deliveries = fields.List(fields.Nested(DeliveryEventSchema), required=True)
    merchant_copy = fields.Nested(MerchantCopySchema, required=True, allow_none=True)
    callbacks = fields.List(fields.Nested(CallbackSchema), required=True)


class PageSchema(Schema):
    """A page of mails, newest first."""

    orders = fields.List(fields.Nested(SummarySchema), required=True)
    next_cursor = _text(
        "1742049002.25_4711", "cursor of the next page; null on the last page", allow_none=True, required=True
    )


class SizeSchema(Schema):
    """Size of each part in bytes."""

    text = fields.Integer(required=True)
    html = fields.Integer(required=True)


class PreviewSchema(Schema):
    """The mail of an order that was not stored."""

    subject = _text("Order ORD-12345 confirmed", required=True)
    text = _text("Our Shop\n\nThank you for your order\n…", required=True)
    html = _text("<!doctype html>…", required=True)
    size = fields.Nested(SizeSchema, required=True)
    warnings = fields.List(fields.String(), required=True, metadata={"description": _WARNINGS})
    ignored_fields = fields.List(fields.String(), required=True, metadata={"description": _IGNORED})


class ReceivedSchema(Schema):
    """How many of a webhook's events were stored."""

    received = fields.Integer(required=True, metadata={"examples": [2], "description": "readable events"})
    new = fields.Integer(
        required=True, metadata={"examples": [1], "description": "readable events that were not stored before"}
    )
    unreadable = fields.Integer(
        required=True, metadata={"examples": [0], "description": "events that are not JSON objects"}
    )


class WebhookReceiptSchema(Schema):
    """The outcome of a shop platform's webhook."""

    outcome = fields.String(
        required=True,
        metadata={
            "enum": [each.value for each in Outcome],
            "description": "accepted: its mail will be sent; known: it was accepted before; otherwise there is no mail",
        },
    )
    reason = fields.String(required=True, allow_none=True, metadata={"description": "why there is no mail"})
    order_id = fields.String(required=True, allow_none=True)


class FieldErrorSchema(Schema):
    pointer = _text("/customer/email", "RFC 6901", required=True)
    detail = _text("is missing", required=True)


class ProblemSchema(Schema):
    """A failure (RFC 9457)."""

    type = fields.String(
        required=True,
        metadata={
            "description": "stable; clients can branch on it",
            "examples": [problem_types.INVALID_ORDER.type],
        },
        validate=validate.OneOf([*(each.type for each in problem_types.ALL), "about:blank"]),
    )
    title = _text("The order is not valid", required=True)
    status = fields.Integer(required=True, metadata={"examples": [422]})
    detail = _text("1 error; nothing was stored.", required=True)
    errors = fields.List(fields.Nested(FieldErrorSchema))


def summary(entry: OutboxEntry, link: str) -> dict[str, Any]:
    """Return a mail as in SummarySchema. `link` is the path of its order."""
    return {**representation.summary(entry), "links": {"self": link}}


def detail(entry: OutboxEntry, waiting: str | None, callbacks: Iterable[Callback], link: str) -> dict[str, Any]:
    """Return a mail as in MailSchema. `waiting` is why it is not being sent yet, `link` the path of its order."""
    earlier = [summary(each, link) for each in entry.earlier]
    return {**summary(entry, link), **representation.detail(entry, waiting, callbacks), "earlier_mails": earlier}
