"""Health checks for load balancers, and metrics for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, current_app, jsonify

from orderconfirm.errors import OutboxUnavailable
from orderconfirm.models import HealthStatus, RelayPause, State

bp = Blueprint("health", __name__)

#: Seconds without a completed round after which the dispatcher counts as stuck.
STUCK_SECONDS = 60.0


@bp.get("/health")
def health() -> Response:
    """Return 200 while the process handles requests."""
    return jsonify({"status": "healthy"})


@bp.get("/ready")
def ready() -> tuple[Response, int]:
    """Return 200 while orders are accepted and the dispatcher runs, otherwise 503.

    A paused relay, or senders that are missing, are reported but do not make the process unready: orders wait safely
    in the outbox.
    """
    try:
        status = _health_status()
    except OutboxUnavailable as exc:
        return jsonify({"status": "unavailable", "reason": str(exc)}), 503
    is_stuck = status.idle_seconds > STUCK_SECONDS
    reason = "the dispatcher is stuck" if is_stuck else status.refusal
    return jsonify(
        {
            "status": "unavailable" if reason else "ready",
            "reason": reason,
            "relay": "paused" if status.pause else "in use",
            "pause": _describe(status.pause) if status.pause else None,
            "senders": status.senders,
            "mails": status.stats.mails,
            "oldest_due_seconds": round(status.stats.oldest_due, 1),
            "possible_copies": status.stats.possible_copies,
        }
    ), 503 if reason else 200


@bp.get("/metrics")
def metrics() -> Response:
    """Return the same in Prometheus' format; 503 when the outbox cannot be read.

    The numbers come from the database, so every process reports the same, except `dispatcher_idle_seconds`.
    """
    # Imported on first use, to save memory when nothing scrapes the service.
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

    registry = CollectorRegistry()
    registry.register(_StatusCollector(_health_status()))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _StatusCollector:
    """A Prometheus collector for one HealthStatus."""

    def __init__(self, status: HealthStatus) -> None:
        self._status = status

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        stats = self._status.stats
        mails = GaugeMetricFamily(
            "orderconfirm_mails", "Unfinished mails, and those that need a person", labels=["state"]
        )
        for state in (state for state in State if state in State.PENDING | State.ATTENTION):
            mails.add_metric([state.value], stats.mails.get(state, 0))
        yield mails
        for name, meaning, value in (
            ("oldest_due_seconds", "How long the oldest due mail has been due", stats.oldest_due),
            ("possible_copies", "Total sends with an unknown outcome", stats.possible_copies),
            ("senders", "Processes that send mails", self._status.senders),
            ("relay_paused", "1 while a sender's circuit breaker is open", self._status.pause is not None),
            (
                "dispatcher_idle_seconds",
                "Seconds since this service's dispatcher completed a round",
                self._status.idle_seconds,
            ),
        ):
            yield GaugeMetricFamily(f"orderconfirm_{name}", meaning, float(value))


def _describe(pause: RelayPause) -> dict[str, str]:
    """Return why and since when mails wait, and when the relay is tried again."""
    times = {"since": pause.since, "next_try_at": pause.next_try_at}
    return {"reason": pause.reason, **{name: time.isoformat(timespec="seconds") for name, time in times.items()}}


def _health_status() -> HealthStatus:
    status: HealthStatus = current_app.extensions["orderconfirm"].health()
    return status
