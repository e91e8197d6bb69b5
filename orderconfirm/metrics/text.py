"""Prometheus' text format, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from orderconfirm.metrics.table import ALL, Metric, Samples

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def to_text(samples: Samples) -> str:
    """Return all metrics, each with its meaning and type."""
    return "".join(f"{line}\n" for metric in ALL for line in _lines(metric, samples))


def _lines(metric: Metric, samples: Samples) -> Iterator[str]:
    yield f"# HELP {metric.full_name} {metric.meaning}"
    yield f"# TYPE {metric.full_name} {metric.kind}"
    for labels, numbers in sorted((labels, numbers) for (other, labels), numbers in samples.items() if other is metric):
        pairs = [f'{name}="{value.translate(_ESCAPES)}"' for name, value in zip(metric.labels, labels, strict=True)]
        if metric.buckets:
            yield from _histogram(metric, pairs, numbers)
        else:
            yield f"{metric.full_name}{_braces(pairs)} {numbers[0]}"


def _histogram(metric: Metric, pairs: list[str], numbers: Sequence[float]) -> Iterator[str]:
    *counts, total = numbers
    bounds = (*map(str, metric.buckets), "+Inf")
    for bound, count in zip(bounds, accumulate(counts), strict=True):
        within = _braces([*pairs, f'le="{bound}"'])
        yield f"{metric.full_name}_bucket{within} {count}"
    yield f"{metric.full_name}_sum{_braces(pairs)} {total}"
    yield f"{metric.full_name}_count{_braces(pairs)} {sum(counts)}"


def _braces(pairs: list[str]) -> str:
    return f"{{{','.join(pairs)}}}" if pairs else ""
