"""Reads all metrics: those that the processes count, and those that the database has."""

from __future__ import annotations

from collections.abc import Mapping

from orderconfirm.metrics import counters
from orderconfirm.metrics.shared_counters import Key
from orderconfirm.metrics.table import (
    ALL,
    BUILD,
    DATABASE_UP,
    DISPATCHER_IDLE,
    MAILS,
    OLDEST_CALLBACK,
    OLDEST_DUE,
    POSSIBLE_COPIES,
    RELAY_PAUSED,
    SENDERS,
    WEBHOOK_SILENCE,
)
from orderconfirm.models import State
from orderconfirm.queries import HealthStatus
from orderconfirm.version import VERSION


def collect(
    status: HealthStatus | None,
    idle_seconds: float | None,
    revision: str,
    silences: Mapping[str, float],
) -> dict[Key, list[float]]:
    """Return every metric. Without a `status`, because the database cannot be read, those that it has are missing.

    `idle_seconds` is the time since the dispatcher's last round, None when nothing sends. `revision` is the build's.
    `silences` are the seconds since the last webhook of each shop from which one has come.
    """
    samples = _zeros() | counters.totals()
    samples[BUILD, (VERSION, revision)] = [1.0]
    samples[DATABASE_UP, ()] = [float(status is not None)]
    if idle_seconds is not None:
        samples[DISPATCHER_IDLE, ()] = [idle_seconds]
    if status is not None:
        samples |= _gauges(status)
    return samples | {(WEBHOOK_SILENCE, (shop,)): [seconds] for shop, seconds in silences.items()}


def _zeros() -> dict[Key, list[float]]:
    """Return a zero for everything that is counted, so that the first event is seen as an increase."""
    return {
        (metric, labels): [0.0] * metric.size
        for metric in ALL
        if not metric.is_read
        for labels in ([(value,) for value in metric.known] if metric.labels else [()])
    }


def _gauges(status: HealthStatus) -> dict[Key, list[float]]:
    stats = status.stats
    mails = {(MAILS, (state,)): [float(stats.mails.get(State(state), 0))] for state in MAILS.known}
    return mails | {
        (OLDEST_DUE, ()): [stats.oldest_due],
        (OLDEST_CALLBACK, ()): [status.oldest_callback],
        (POSSIBLE_COPIES, ()): [float(stats.possible_copies)],
        (SENDERS, ()): [float(status.senders)],
        (RELAY_PAUSED, ()): [float(bool(status.pauses))],
    }
