"""Metrics: what they are (`table`), where they are counted, and how they are read."""

from __future__ import annotations

from orderconfirm.metrics.shared_counters import SharedCounters

#: What this service counts. gunicorn's master imports it, and its workers inherit it.
counters = SharedCounters()
