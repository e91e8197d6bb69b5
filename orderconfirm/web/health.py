"""Health checks for load balancers and orchestrators, and metrics for Prometheus."""

from __future__ import annotations

import hmac

from flask import Blueprint, Response, current_app, jsonify
from werkzeug.exceptions import Unauthorized

from orderconfirm.errors import OutboxUnavailable
from orderconfirm.metrics.text import CONTENT_TYPE, to_text
from orderconfirm.queries import HealthStatus, RelayPause
from orderconfirm.version import VERSION
from orderconfirm.web.auth import CHALLENGE, presented_key

bp = Blueprint("health", __name__)


@bp.get("/health")
def health() -> Response:
    """Return 200 while the process handles requests."""
    return jsonify({"status": "healthy", "version": VERSION})


@bp.get("/livez")
def livez() -> tuple[Response, int]:
    """Return 200 while the process and its threads run, otherwise 503: only a restart helps then.

    The database plays no part: a restart does not bring it back.
    """
    dead = current_app.extensions["orderconfirm"].dead_threads
    reason = f"these threads have ended: {', '.join(dead)}" if dead else None
    return jsonify({"status": "dead" if dead else "alive", "reason": reason}), 503 if dead else 200


@bp.get("/readyz")
@bp.get("/ready")
def readyz() -> tuple[Response, int]:
    """Return 200 while orders are accepted and the dispatcher runs, otherwise 503.

    A paused relay, or senders that are missing, are reported but do not make the process unready: orders wait safely
    in the outbox. A full outbox does so only for a while after a refused order: only further orders show that it is
    over.
    """
    try:
        status: HealthStatus = current_app.extensions["orderconfirm"].readiness()
    except OutboxUnavailable as exc:
        return jsonify({"status": "unavailable", "reason": str(exc)}), 503
    reason = status.unready_reason
    return jsonify(
        {
            "status": "unavailable" if reason else "ready",
            "reason": reason,
            "relay": "paused" if status.pauses else "in use",
            "pauses": [_describe(pause) for pause in status.pauses],
            "senders": status.senders,
            "outbox": "full" if status.is_full else "open",
            "pending": status.stats.pending,
            "max_pending": status.max_pending,
            "mails": status.stats.mails,
            "oldest_due_seconds": round(status.stats.oldest_due, 1),
            "possible_copies": status.stats.possible_copies,
        }
    ), 503 if reason else 200


@bp.get("/metrics")
def metrics() -> Response:
    """Return all metrics in Prometheus' format. Those of the database are missing while it cannot be read."""
    runtime = current_app.extensions["orderconfirm"]
    key = runtime.settings.metrics_key
    if key and not hmac.compare_digest(presented_key().encode(), key.encode()):
        current_app.extensions["authenticator"].note_wrong_secret("request for /metrics without METRICS_KEY")
        raise Unauthorized("Send METRICS_KEY, as Authorization: Bearer <key>.", www_authenticate=CHALLENGE)
    return Response(to_text(runtime.metrics()), content_type=CONTENT_TYPE)


def _describe(pause: RelayPause) -> dict[str, str | None]:
    """Return why and since when mails wait, what to do, and when the relay is tried again.

    `account` is null for the relay of the settings, and otherwise the shop that has a relay of its own.
    """
    times = {"since": pause.since, "next_try_at": pause.next_try_at}
    return {
        "account": pause.account or None,
        "reason": pause.reason,
        "advice": pause.advice,
        **{name: time.isoformat(timespec="seconds") for name, time in times.items()},
    }
