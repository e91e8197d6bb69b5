"""CloudWatch's embedded metric format: lines of JSON on stdout, of which CloudWatch Logs makes metrics.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from orderconfirm.metrics import counters, published
from orderconfirm.metrics.shared_counters import added_up
from orderconfirm.metrics.table import PROBES, Metric, Samples

log = logging.getLogger(__name__)

#: Seconds between two publications.
INTERVAL = 60.0
#: Labels that are no dimensions, because each combination of dimensions is a metric that must be paid for.
_ADDED_UP = frozenset({"route", "method"})
#: The share of values below the quantile that is published of a histogram.
_QUANTILE = 0.95

Dimensions = tuple[tuple[str, str], ...]


class EmfPublisher:
    """A thread that publishes the metrics of the whole service, if this process is the first of those that live."""

    def __init__(self, read: Callable[[], Samples], namespace: str, environment: str) -> None:
        """`read` returns all metrics, and `environment` is a dimension of each."""
        self._read = read
        self._namespace = namespace
        self._environment = environment
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="embedded-metrics")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Publish what has been counted since the last time, then end the thread."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._ended.wait(INTERVAL)
            try:
                self._publish()
            except Exception as exc:
                log.error("the metrics could not be published", exc_info=exc)
        counters.leave()

    def _publish(self) -> None:
        if not counters.is_first:
            return
        samples = self._read()
        published.use(0)  # another process may have published last
        before = published.totals()
        changes = {
            key: numbers if key[0].kind == "gauge" else _difference(numbers, before.get(key))
            for key, numbers in samples.items()
        }
        for line in to_lines(changes, self._namespace, self._environment, time.time()):
            sys.stdout.write(f"{line}\n")  # in one piece: other processes write there too
        sys.stdout.flush()
        for (metric, labels), numbers in samples.items():
            if metric.kind != "gauge":
                published.set(metric, numbers, labels)


def to_lines(samples: Samples, namespace: str, environment: str, at: float) -> Iterator[str]:
    """Yield a line for each combination of dimensions. `at` is the time in seconds since 1970."""
    groups: defaultdict[Dimensions, dict[str, tuple[str, float]]] = defaultdict(dict)
    for (dimensions, metric), numbers in added_up(_by_dimensions(samples)).items():
        groups[("environment", environment), *dimensions].update(_figures(metric, numbers))
    for dimensions, figures in groups.items():
        definitions = [{"Name": name, "Unit": unit} for name, (unit, _) in figures.items()]
        directive = {"Namespace": namespace, "Dimensions": [[name for name, _ in dimensions]], "Metrics": definitions}
        metadata = {"Timestamp": int(at * 1000), "CloudWatchMetrics": [directive]}
        values = {name: value for name, (_, value) in figures.items()}
        yield json.dumps({"_aws": metadata, **dict(dimensions), **values})


def _by_dimensions(samples: Samples) -> Iterator[tuple[tuple[Dimensions, Metric], Sequence[float]]]:
    for (metric, labels), numbers in samples.items():
        if "route" in metric.labels and labels[0] in PROBES:
            continue  # when all routes are added up, they would hide the shops' requests
        pairs = zip(metric.labels, labels, strict=True)
        # A dimension must have a value.
        yield (tuple((name, value or "none") for name, value in pairs if name not in _ADDED_UP), metric), numbers


def _figures(metric: Metric, numbers: Sequence[float]) -> dict[str, tuple[str, float]]:
    """Return the figures of a sample: the unit and the value of each by its name."""
    if not metric.buckets:
        return {metric.name: ("Seconds" if metric.name.endswith("_seconds") else "Count", numbers[0])}
    *counts, total = numbers
    figures = {f"{metric.name}_count": ("Count", sum(counts)), f"{metric.name}_sum": ("Seconds", total)}
    return figures | ({f"{metric.name}_p95": ("Seconds", _quantile(metric.buckets, counts))} if sum(counts) else {})


def _quantile(buckets: Sequence[float], counts: Sequence[float]) -> float:
    """Return the value below which _QUANTILE of the values lie, estimated within its bucket."""
    rank = _QUANTILE * sum(counts)
    for lower, upper, count in zip((0.0, *buckets), buckets, counts, strict=False):
        if rank <= count:
            return lower + (upper - lower) * rank / count
        rank -= count
    return buckets[-1]


def _difference(now: Sequence[float], before: Sequence[float] | None) -> Sequence[float]:
    return [a - b for a, b in zip(now, before, strict=True)] if before else now
