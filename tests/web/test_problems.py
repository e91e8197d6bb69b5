"""Every kind of failure, provoked over HTTP: the answer is, word for word, the documented example."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import relay_variables
from factories import make_body
from flask import Flask
from outboxes import locked
from processes import free_port, wait_until
from smtp_server import Sink
from werkzeug.test import TestResponse

from orderconfirm.web import problem_types
from orderconfirm.web.problem_types import ProblemType

URL = "/api/order-confirmation"
HOOK = "/api/webhooks/mailtrap"


class Bench:
    """What a provocation needs: a service with settings of its own, and the relay it sends through."""

    def __init__(self, start_app: Callable[..., Flask], sink: Sink, relay_port: int, folder: Path) -> None:
        self._start_app = start_app
        self._relay_port = relay_port
        self.sink = sink
        self.folder = folder

    def client(self, **settings: str) -> Any:
        return self._start_app(**{**relay_variables(self._relay_port), **settings}).test_client()


def bad_request(bench: Bench) -> TestResponse:
    return bench.client().post(URL, data="x", content_type="application/json")


def unauthorized(bench: Bench) -> TestResponse:
    return bench.client(API_KEYS="shop:a-long-random-key").get(f"{URL}/ORD-12345")


def bad_signature(bench: Bench) -> TestResponse:
    return bench.client(MAILTRAP_WEBHOOK_SECRET="s" * 32).post(HOOK, json={"events": []})


def cross_site(bench: Bench) -> TestResponse:
    return bench.client().post(f"{URL}/ORD-12345/cancel", headers={"Sec-Fetch-Site": "cross-site"})


def csrf_token(bench: Bench) -> TestResponse:
    return bench.client(DEMO_PAGE="true").post("/demo/orders", json=make_body())


def misdirected_request(bench: Bench) -> TestResponse:
    return bench.client().get(f"{URL}/ORD-12345", headers={"Host": "evil.example"})


def not_found(bench: Bench) -> TestResponse:
    return bench.client().get(f"{URL}/ORD-12345")


def method_not_allowed(bench: Bench) -> TestResponse:
    return bench.client().put(URL, json=make_body())


def not_acceptable(bench: Bench) -> TestResponse:
    return bench.client().get(f"{URL}/ORD-12345", headers={"Accept": "text/html"})


def request_timeout(bench: Bench) -> TestResponse:
    longer = {"CONTENT_LENGTH": "100"}
    return bench.client().post(URL, data="{", content_type="application/json", environ_overrides=longer)


def order_conflict(bench: Bench) -> TestResponse:
    client = bench.client()
    client.post(URL, json=make_body())
    return client.post(URL, json=make_body(total="120.00"))


def idempotency_conflict(bench: Bench) -> TestResponse:
    client = bench.client()
    client.post(URL, json=make_body(), headers={"Idempotency-Key": "9f1c"})
    return client.post(URL, json=make_body(order_id="other"), headers={"Idempotency-Key": "9f1c"})


def wrong_state(bench: Bench) -> TestResponse:
    client = bench.client()
    assert client.post(URL, json=make_body(), headers={"Prefer": "wait=10"}).status_code == 200
    return client.post(f"{URL}/ORD-12345/cancel")


def content_deleted(bench: Bench) -> TestResponse:
    client = bench.client()
    client.post(URL, json=make_body(), headers={"Prefer": "wait=10"})
    assert client.delete(f"{URL}/ORD-12345").status_code == 204
    return client.get(f"{URL}/ORD-12345")


def content_too_large(bench: Bench) -> TestResponse:
    return bench.client().post(URL, json=make_body(notes="x" * 1_100_000))


def unsupported_media_type(bench: Bench) -> TestResponse:
    return bench.client().post(URL, data="{}", content_type="text/plain")


def invalid_order(bench: Bench) -> TestResponse:
    return bench.client().post(URL, json=make_body(customer={"name": "John Doe"}))


def invalid_request(bench: Bench) -> TestResponse:
    return bench.client().get("/api/order-confirmations?limit=0")


def too_many_requests(bench: Bench) -> TestResponse:
    client = bench.client(API_RATE_LIMIT="1/1m")
    client.get(f"{URL}/ORD-12345")
    return client.get(f"{URL}/ORD-12345")


def internal_server_error(bench: Bench) -> TestResponse:
    client = bench.client()
    client.application.extensions["orderconfirm"].confirmations = None  # a mistake of ours
    return client.get(f"{URL}/ORD-12345")


def template_error(bench: Bench) -> TestResponse:
    text = "Thank you\n{% if order.notes == 'purple' %}{{ order.lines[9].name }}{% endif %}"
    (bench.folder / "order_confirmation.txt").write_text(text)
    return bench.client(TEMPLATES_DIR=str(bench.folder)).post(f"{URL}/preview", json=make_body(notes="purple"))


def not_sent(bench: Bench) -> TestResponse:
    bench.sink.replies["RCPT"] = ["550 5.1.1 no such user"]
    return bench.client().post(URL, json=make_body(), headers={"Prefer": "wait=10"})


def outbox_unavailable(bench: Bench) -> TestResponse:
    client = bench.client()
    (bench.folder / "outbox.db").rename(bench.folder / "elsewhere.db")
    answer: TestResponse = client.post(URL, json=make_body())
    (bench.folder / "elsewhere.db").rename(bench.folder / "outbox.db")
    return answer


def write_unconfirmed(bench: Bench) -> TestResponse:
    """SQLite's log is deleted while the order's transaction waits for the lock."""
    client = bench.client()
    with ThreadPoolExecutor(1) as threads, locked(f"sqlite:///{bench.folder}/outbox.db"):
        late = threads.submit(client.post, URL, json=make_body())
        writer = client.application.extensions["orderconfirm"].database._writer
        # The order's write, and one of the dispatcher's: both wait for the lock.
        wait_until(lambda: writer._began_at and not writer._waiting.empty())
        (bench.folder / "outbox.db-wal").unlink()
    answer: TestResponse = late.result()
    return answer


def outbox_full(bench: Bench) -> TestResponse:
    client = bench.client(OUTBOX_MAX_PENDING="1", MAIL_PORT=str(free_port()))
    client.post(URL, json=make_body())
    answer: TestResponse = client.post(URL, json=make_body(order_id="other"))
    return answer


PROVOKED: dict[str, Callable[[Bench], TestResponse]] = {
    provoke.__name__: provoke
    for provoke in (
        *(bad_request, unauthorized, bad_signature, cross_site, csrf_token, misdirected_request),
        *(not_found, method_not_allowed),
        *(
            not_acceptable,
            request_timeout,
            order_conflict,
            idempotency_conflict,
            wrong_state,
            content_deleted,
            content_too_large,
        ),
        *(unsupported_media_type, invalid_order, invalid_request, too_many_requests, internal_server_error),
        *(template_error, not_sent, outbox_unavailable, write_unconfirmed, outbox_full),
    )
}


#: The server's own refusals are in test_hostile.py: they need a server.
OURS = [kind for kind in problem_types.ALL if kind not in (problem_types.URI_TOO_LONG, problem_types.HEADERS_TOO_LARGE)]


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.name)
def test_a_kind_of_failure_is_answered_as_documented(
    start_app: Callable[..., Flask], sink: tuple[Sink, int], tmp_path: Path, kind: ProblemType
) -> None:
    answer = PROVOKED[kind.name.replace("-", "_")](Bench(start_app, *sink, tmp_path))
    assert answer.content_type == problem_types.MIMETYPE
    assert answer.status_code == kind.status
    told = answer.get_json()
    # The seconds to wait depend on the moment.
    told["detail"] = re.sub(r"in \d+ s\.", "in 60 s.", told["detail"])
    assert told == kind.example
    if kind.retry_after:
        assert answer.headers["Retry-After"] == str(kind.retry_after)
    assert ("Retry-After" in answer.headers) == (kind.status in (429, 503))


def test_an_address_that_is_none_of_ours_is_a_problem_too(start_app: Callable[..., Flask]) -> None:
    for path in ("/api/nothing", "/nothing", "/docs/assets/nothing"):
        told = start_app().test_client().get(path).get_json()
        assert (told["status"], told["type"]) == (404, problem_types.NOT_FOUND.type)
