"""Whether this process lives and does its work, and how the outbox stands: for load balancers and monitoring."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, current_app, jsonify

from orderconfirm.errors import OutboxUnavailable
from orderconfirm.models import HealthStatus, State

bp = Blueprint("health", __name__)

#: Seconds without a round of the dispatcher after which it does not do its work.
STUCK_SECONDS = 60.0


@bp.get("/health")
def health() -> Response:
    """200 as long as requests are answered."""
    return jsonify({"status": "healthy"})


@bp.get("/ready")
def ready() -> tuple[Response, int]:
    """200 while orders are taken and the outbox is worked on; 503 otherwise.

    A relay that is away is told, and is no reason to take this process out of service: another one could not send
    either, and orders wait safely here.
    """
    try:
        condition = _condition()
    except OutboxUnavailable as failure:
        return jsonify({"status": "unavailable", "reason": str(failure)}), 503
    is_stuck = condition.idle_seconds > STUCK_SECONDS
    reason = "the dispatcher is stuck" if is_stuck else condition.refusal
    return jsonify(
        {
            "status": "unavailable" if reason else "ready",
            "reason": reason,
            "relay": "paused" if condition.is_relay_paused else "in use",
            "mails": condition.stats.mails,
            "oldest_due_seconds": round(condition.stats.oldest_due, 1),
            "possible_copies": condition.stats.possible_copies,
        }
    ), 503 if reason else 200


@bp.get("/metrics")
def metrics() -> Response:
    """The same for Prometheus. The outbox is counted in the database, so that any of several processes tells it right.

    503 when it cannot be counted.
    """
    # Imported when first asked for: a service that nobody scrapes does not carry it.
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

    registry = CollectorRegistry()
    registry.register(_HealthCollector(_condition()))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _HealthCollector:
    """A Prometheus collector of one look at the service."""

    def __init__(self, condition: HealthStatus) -> None:
        self._condition = condition

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        stats = self._condition.stats
        mails = GaugeMetricFamily("orderconfirm_mails", "Mails that move or wait for a person", labels=["state"])
        for state in (state for state in State if state in State.PENDING | State.ATTENTION):
            mails.add_metric([state.value], stats.mails.get(state, 0))
        yield mails
        for name, meaning, value in (
            ("oldest_due_seconds", "How long the longest waiting mail has been due", stats.oldest_due),
            ("possible_copies", "Sends whose outcome nobody knows, ever", stats.possible_copies),
            ("relay_paused", "1 while this process does not send", self._condition.is_relay_paused),
            ("dispatcher_idle_seconds", "Grows while the dispatcher cannot work", self._condition.idle_seconds),
        ):
            yield GaugeMetricFamily(f"orderconfirm_{name}", meaning, float(value))


def _condition() -> HealthStatus:
    condition: HealthStatus = current_app.extensions["orderconfirm"].health()
    return condition
