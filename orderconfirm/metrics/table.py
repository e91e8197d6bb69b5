"""The table of all metrics. /metrics, the embedded metrics and the documentation follow it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from orderconfirm.models import Delivery, Event, State

#: Upper bounds of the buckets of a histogram, in seconds.
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SEND_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
QUEUE_BUCKETS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0)


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """A metric, whose `name` lacks the prefix. `known` are the values of its only label that are shown while zero.

    `buckets` are those of a histogram. One that `is_read` is not counted, but read when it is shown.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    is_read: bool = False

    @property
    def full_name(self) -> str:
        return f"orderconfirm_{self.name}"

    @property
    def size(self) -> int:
        """How many numbers one sample has: of a histogram, the count of each bucket and of the rest, and the sum."""
        return len(self.buckets) + 2 if self.buckets else 1


#: The numbers of each metric, for each combination of its labels.
Samples = Mapping[tuple[Metric, tuple[str, ...]], Sequence[float]]

_ROUTE = ("route", "method")
#: The route of requests to a URL at which there is nothing, and of those that are not HTTP.
UNMATCHED = "unmatched"
#: The routes of health checks and metrics.
PROBES = frozenset({"/health", "/livez", "/readyz", "/ready", "/metrics"})
#: The methods that are counted by name.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUESTS = Metric(
    "http_requests_total",
    "counter",
    f'Responses; the route is "{UNMATCHED}" when nothing is at the URL',
    (*_ROUTE, "status"),
)
REQUEST_DURATION = Metric(
    "http_request_duration_seconds",
    "histogram",
    "Time from the complete request to its response",
    _ROUTE,
    buckets=REQUEST_BUCKETS,
)
ORDERS = Metric("orders_accepted_total", "counter", "New orders that are on disk")
_COPY_OUTCOMES = tuple(each.value for each in (Event.SENT, Event.DEFERRED, Event.UNKNOWN, Event.FAILED, Event.RELEASED))
SENDS = Metric(
    "sends_total",
    "counter",
    "Attempts to send a mail, by outcome",
    ("outcome",),
    (*_COPY_OUTCOMES, Event.EXPIRED.value, Event.HELD.value),
)
COPIES = Metric(
    "merchant_copies_total", "counter", "Attempts to send a merchant's copy, by outcome", ("outcome",), _COPY_OUTCOMES
)
RETRIES = Metric("send_retries_total", "counter", "Attempts that were not their mail's first")
SEND_DURATION = Metric(
    "send_duration_seconds", "histogram", "Time of an attempt, from rendering to the reply", buckets=SEND_BUCKETS
)
TIME_TO_SEND = Metric(
    "accepted_to_sent_seconds",
    "histogram",
    "Time from the acceptance of an order until its mail is sent",
    buckets=QUEUE_BUCKETS,
)
INTERRUPTED = Metric("interrupted_sends_total", "counter", "Mails whose process died while it was sending them")
DELIVERY_EVENTS = Metric(
    "delivery_events_total",
    "counter",
    "New events from the relay's webhook, by their meaning",
    ("delivery",),
    (*(each.value for each in Delivery), "other"),
)
WEBHOOKS = Metric(
    "webhooks_total",
    "counter",
    "Signed webhooks of shop platforms, by what became of them",
    ("outcome",),
    ("accepted", "changed", "known", "not_due", "other_topic", "refused", "test"),
)
CALLBACKS = Metric(
    "callbacks_total",
    "counter",
    "Attempts to post an event to a shop, by outcome; gone includes events not posted because the URL is switched off",
    ("outcome",),
    ("delivered", "failed", "gone", "retried"),
)
SUPPRESSIONS = Metric("suppressions_total", "counter", "Addresses suppressed after a bounce or a complaint")
DATABASE_ERRORS = Metric(
    "database_errors_total", "counter", "Reads and writes that failed", ("operation",), ("read", "write")
)
CONNECTIONS = Metric("relay_connections", "gauge", "Open connections to the relay")

MAILS = Metric(
    "mails",
    "gauge",
    "Unfinished mails, and those that need a person",
    ("state",),
    tuple(each.value for each in State if each in State.PENDING | State.ATTENTION),
    is_read=True,
)
OLDEST_DUE = Metric(
    "oldest_due_seconds", "gauge", "How long the oldest mail that should be sent by now has waited", is_read=True
)
OLDEST_CALLBACK = Metric(
    "oldest_due_callback_seconds", "gauge", "How long the oldest due callback to a shop has waited", is_read=True
)
POSSIBLE_COPIES = Metric("possible_copies", "gauge", "Sends with an unknown outcome, of all mails", is_read=True)
SENDERS = Metric("senders", "gauge", "Processes that send, on all machines", is_read=True)
RELAY_PAUSED = Metric("relay_paused", "gauge", "1 while any sender has paused a relay account", is_read=True)
WEBHOOK_SILENCE = Metric(
    "webhook_silence_seconds", "gauge", "Time since the last webhook of a shop's platform", ("shop",), is_read=True
)
DATABASE_UP = Metric("database_up", "gauge", "1 if the database could be read just now", is_read=True)
DISPATCHER_IDLE = Metric(
    "dispatcher_idle_seconds", "gauge", "Time since this service's dispatcher completed a round", is_read=True
)
BUILD = Metric("build_info", "gauge", "Always 1", ("version", "revision"), is_read=True)

ALL = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
BY_NAME = {metric.name: metric for metric in ALL}
