"""Traces of orders: a real request and its attempts, received by a collector."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from conftest import relay_variables
from factories import make_body
from flask import Flask
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from processes import free_port, wait_until
from smtp_server import Sink

from orderconfirm.tracing import EXPORT_TIMEOUT

URL = "/api/order-confirmation"
StartApp = Callable[..., Flask]


class Collector(BaseHTTPRequestHandler):
    spans: list[Span] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = ExportTraceServiceRequest.FromString(body)
        self.spans += [
            span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
        ]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[str]:
    """The address of a collector, which has no spans yet."""
    Collector.spans = []
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def sent(app: Flask) -> bool:
    return bool(app.test_client().get(f"{URL}/ORD-12345").get_json()["state"] == "sent")


@pytest.mark.parametrize("request_id", ["0af7651916cd43dd8448eb211c80319c", "checkout-7"])
def test_the_attempts_to_send_a_mail_are_below_the_request_that_placed_its_order(
    start_app: StartApp, sink: tuple[Sink, int], collector: str, request_id: str
) -> None:
    sink[0].replies["RCPT"] = ["451 4.3.0 not now"]
    app = start_app(**relay_variables(sink[1], OTEL_EXPORTER_OTLP_ENDPOINT=collector, MAIL_RETRY_DELAYS="0.1"))
    app.test_client().post(URL, json=make_body(), headers={"X-Request-ID": request_id})
    wait_until(lambda: sent(app))
    app.extensions["orderconfirm"].stop()
    [first] = [span for span in Collector.spans if span.name == f"POST {URL}"]
    attempts = [span for span in Collector.spans if span.name == "send mail"]
    outcomes = [{each.key: each.value.string_value for each in span.attributes}["outcome"] for span in attempts]
    assert outcomes == ["deferred", "sent"]
    assert {(span.trace_id, span.parent_span_id) for span in attempts} == {(first.trace_id, first.span_id)}
    assert len({first.span_id, *(span.span_id for span in attempts)}) == 3
    assert all(span.start_time_unix_nano < span.end_time_unix_nano for span in [first, *attempts])
    assert (first.trace_id.hex() == request_id) == (len(request_id) == 32)


def test_a_collector_that_is_away_does_not_hold_up_a_stop(start_app: StartApp, sink: tuple[Sink, int]) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    app = start_app(**relay_variables(sink[1], OTEL_EXPORTER_OTLP_ENDPOINT=endpoint))
    app.test_client().post(URL, json=make_body())
    wait_until(lambda: sent(app))
    began = time.monotonic()
    app.extensions["orderconfirm"].stop()
    assert time.monotonic() - began < 10 * EXPORT_TIMEOUT
