"""Metrics: what they are (`table`), where they are counted, and how they are read."""

from __future__ import annotations

from orderconfirm.metrics.shared_counters import SLOTS, SharedCounters

#: What this service has counted, and what it had when it last published embedded metrics. gunicorn's master imports
#: them, and its workers inherit them.
counters = SharedCounters(SLOTS)
published = SharedCounters(1)
