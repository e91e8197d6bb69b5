"""Every problem type, provoked over HTTP: the response is exactly the documented example."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import relay_variables
from factories import make_body
from flask import Flask
from processes import free_port
from smtp_server import Sink
from sqlalchemy import Connection, event
from werkzeug.test import TestResponse

from orderconfirm.web import problem_types
from orderconfirm.web.problem_types import ProblemType

URL = "/api/order-confirmation"
HOOK = "/api/webhooks/mailtrap"


class Harness:
    """A service that a test configures, its folder, and the relay it sends through."""

    def __init__(self, start_app: Callable[..., Flask], sink: Sink, relay_port: int, folder: Path) -> None:
        self._start_app = start_app
        self._relay_port = relay_port
        self.sink = sink
        self.folder = folder

    def client(self, **settings: str) -> Any:
        return self._start_app(**{**relay_variables(self._relay_port), **settings}).test_client()


def bad_request(harness: Harness) -> TestResponse:
    return harness.client().post(URL, data="x", content_type="application/json")


def unauthorized(harness: Harness) -> TestResponse:
    return harness.client(API_KEYS="shop:a-long-random-key").get(f"{URL}/ORD-12345")


def bad_signature(harness: Harness) -> TestResponse:
    return harness.client(MAILTRAP_WEBHOOK_SECRET="s" * 32).post(HOOK, json={"events": []})


def cross_site(harness: Harness) -> TestResponse:
    return harness.client().post(f"{URL}/ORD-12345/cancel", headers={"Sec-Fetch-Site": "cross-site"})


def csrf_token(harness: Harness) -> TestResponse:
    return harness.client(DEMO_PAGE="true").post("/demo/orders", json=make_body())


def misdirected_request(harness: Harness) -> TestResponse:
    return harness.client().get(f"{URL}/ORD-12345", headers={"Host": "evil.example"})


def not_found(harness: Harness) -> TestResponse:
    return harness.client().get(f"{URL}/ORD-12345")


def method_not_allowed(harness: Harness) -> TestResponse:
    return harness.client().put(URL, json=make_body())


def not_acceptable(harness: Harness) -> TestResponse:
    return harness.client().get(f"{URL}/ORD-12345", headers={"Accept": "text/html"})


def request_timeout(harness: Harness) -> TestResponse:
    content_length = {"CONTENT_LENGTH": "100"}
    return harness.client().post(URL, data="{", content_type="application/json", environ_overrides=content_length)


def order_conflict(harness: Harness) -> TestResponse:
    client = harness.client()
    client.post(URL, json=make_body())
    return client.post(URL, json=make_body(total="120.00"))


def idempotency_conflict(harness: Harness) -> TestResponse:
    client = harness.client()
    client.post(URL, json=make_body(), headers={"Idempotency-Key": "9f1c"})
    return client.post(URL, json=make_body(order_id="other"), headers={"Idempotency-Key": "9f1c"})


def wrong_state(harness: Harness) -> TestResponse:
    client = harness.client()
    assert client.post(URL, json=make_body(), headers={"Prefer": "wait=10"}).status_code == 200
    return client.post(f"{URL}/ORD-12345/cancel")


def content_deleted(harness: Harness) -> TestResponse:
    client = harness.client()
    client.post(URL, json=make_body(), headers={"Prefer": "wait=10"})
    assert client.delete(f"{URL}/ORD-12345").status_code == 204
    return client.get(f"{URL}/ORD-12345")


def content_too_large(harness: Harness) -> TestResponse:
    return harness.client().post(URL, json=make_body(notes="x" * 1_100_000))


def unsupported_media_type(harness: Harness) -> TestResponse:
    return harness.client().post(URL, data="{}", content_type="text/plain")


def invalid_order(harness: Harness) -> TestResponse:
    return harness.client().post(URL, json=make_body(customer={"name": "John Doe"}))


def invalid_request(harness: Harness) -> TestResponse:
    return harness.client().get("/api/order-confirmations?limit=0")


def too_many_requests(harness: Harness) -> TestResponse:
    client = harness.client(API_RATE_LIMIT="1/1m")
    client.get(f"{URL}/ORD-12345")
    return client.get(f"{URL}/ORD-12345")


def internal_server_error(harness: Harness) -> TestResponse:
    client = harness.client()
    client.application.extensions["orderconfirm"].confirmations = None  # an error in the service
    return client.get(f"{URL}/ORD-12345")


def template_error(harness: Harness) -> TestResponse:
    text = "Thank you\n{% if order.notes == 'purple' %}{{ order.lines[9].name }}{% endif %}"
    (harness.folder / "order_confirmation.txt").write_text(text)
    return harness.client(TEMPLATES_DIR=str(harness.folder)).post(f"{URL}/preview", json=make_body(notes="purple"))


def not_sent(harness: Harness) -> TestResponse:
    harness.sink.replies["RCPT"] = ["550 5.1.1 no such user"]
    return harness.client().post(URL, json=make_body(), headers={"Prefer": "wait=10"})


def outbox_unavailable(harness: Harness) -> TestResponse:
    client = harness.client()
    (harness.folder / "outbox.db").rename(harness.folder / "elsewhere.db")
    response: TestResponse = client.post(URL, json=make_body())
    (harness.folder / "elsewhere.db").rename(harness.folder / "outbox.db")
    return response


def write_unconfirmed(harness: Harness) -> TestResponse:
    """SQLite's log is deleted during the commit of the order."""
    client = harness.client()

    def delete_log(connection: Connection) -> None:
        if connection.exec_driver_sql("SELECT count(*) FROM outbox").scalar():
            (harness.folder / "outbox.db-wal").unlink(missing_ok=True)

    event.listen(client.application.extensions["orderconfirm"].database._writing, "commit", delete_log)
    response: TestResponse = client.post(URL, json=make_body())
    return response


def outbox_full(harness: Harness) -> TestResponse:
    client = harness.client(OUTBOX_MAX_PENDING="1", MAIL_PORT=str(free_port()))
    client.post(URL, json=make_body())
    response: TestResponse = client.post(URL, json=make_body(order_id="other"))
    return response


PROVOKE: dict[str, Callable[[Harness], TestResponse]] = {
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


#: Problem types of the application. Those of gunicorn's parser are in test_hostile.py.
APPLICATION_PROBLEMS = [
    each for each in problem_types.ALL if each not in (problem_types.URI_TOO_LONG, problem_types.HEADERS_TOO_LARGE)
]


@pytest.mark.parametrize("problem_type", APPLICATION_PROBLEMS, ids=lambda problem_type: problem_type.name)
def test_a_problem_is_returned_as_documented(
    start_app: Callable[..., Flask], sink: tuple[Sink, int], tmp_path: Path, problem_type: ProblemType
) -> None:
    response = PROVOKE[problem_type.name.replace("-", "_")](Harness(start_app, *sink, tmp_path))
    assert response.content_type == problem_types.MIMETYPE
    assert response.status_code == problem_type.status
    body = response.get_json()
    # The remaining seconds vary.
    body["detail"] = re.sub(r"in \d+ s\.", "in 60 s.", body["detail"])
    assert body == problem_type.example
    if problem_type.retry_after:
        assert response.headers["Retry-After"] == str(problem_type.retry_after)
    assert ("Retry-After" in response.headers) == (problem_type.status in (429, 503))


def test_a_status_has_one_default_type() -> None:
    statuses = [each.status for each in problem_types.DEFAULTS]
    assert len(set(statuses)) == len(statuses)


def test_an_unknown_address_is_a_problem(start_app: Callable[..., Flask]) -> None:
    for path in ("/api/nothing", "/nothing", "/docs/assets/nothing"):
        body = start_app().test_client().get(path).get_json()
        assert (body["status"], body["type"]) == (404, problem_types.NOT_FOUND.type)
