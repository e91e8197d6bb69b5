"""OpenTelemetry traces: a span for each request of a shop, and below it one for each attempt to send the order's mail.

The ids of the first span follow from the request's id, which is kept with the mail. So the process that sends the mail,
at any time and on any machine, knows them. The packages are imported only if OTEL_EXPORTER_OTLP_ENDPOINT is set.
"""

from __future__ import annotations

import re
import time
from contextvars import ContextVar
from hashlib import sha256
from typing import Any

#: Seconds that an export may take. A stop waits for the last one.
EXPORT_TIMEOUT = 2

_TRACE_ID = re.compile(r"[0-9a-f]{32}\Z")
#: The ids of the trace and of its first span, while that is made.
_first_ids: ContextVar[tuple[int, int] | None] = ContextVar("first_ids", default=None)
_provider: Any = None


def start(endpoint: str, version: str) -> None:
    """Send spans to the collector at `endpoint` from now on. Call it after the fork: it starts a thread."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        def generate_trace_id(self) -> int:
            ids = _first_ids.get()
            return ids[0] if ids else super().generate_trace_id()

        def generate_span_id(self) -> int:
            ids = _first_ids.get()
            return ids[1] if ids else super().generate_span_id()

    global _provider
    resource = Resource.create({"service.name": "orderconfirm", "service.version": version})
    _provider = TracerProvider(resource=resource, id_generator=Ids(), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_TIMEOUT)
    _provider.add_span_processor(BatchSpanProcessor(exporter))


def stop() -> None:
    """Send the last spans."""
    global _provider
    if _provider:
        _provider.shutdown()
    _provider = None


def record(name: str, request_id: str | None, seconds: float, attributes: dict[str, Any], is_first: bool) -> None:
    """Record a span that ends now and took `seconds`. It `is_first` if it is that of the request."""
    if _provider is None or request_id is None:
        return
    from opentelemetry import context, trace

    digest = sha256(request_id.encode()).digest()
    trace_id = int(request_id, 16) if _TRACE_ID.match(request_id) else int.from_bytes(digest[:16])
    ids = trace_id, int.from_bytes(digest[16:24])
    parent = trace.SpanContext(*ids, is_remote=True, trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED))
    above = context.Context() if is_first else trace.set_span_in_context(trace.NonRecordingSpan(parent))
    token = _first_ids.set(ids if is_first else None)
    now = time.time_ns()
    span = _provider.get_tracer("orderconfirm").start_span(
        name, above, attributes=attributes, start_time=now - int(seconds * 1e9)
    )
    _first_ids.reset(token)
    span.end(now)
