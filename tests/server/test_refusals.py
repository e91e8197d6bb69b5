"""The responses to requests that never reach the application, or that fail outside it."""

from __future__ import annotations

import json
import logging
import socket
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http import errors

from orderconfirm.response_headers import DEFAULT_HEADERS, FIXED_HEADERS
from orderconfirm.server.gunicorn_worker import Worker
from orderconfirm.server.refusals import refusal
from orderconfirm.web import problem_types

REASONS: dict[str, tuple[Exception, problem_types.ProblemType]] = {
    "a long request line": (errors.LimitRequestLine(9999, 8190), problem_types.URI_TOO_LONG),
    "long headers": (errors.LimitRequestHeaders("too long"), problem_types.HEADERS_TOO_LARGE),
    "an invalid header": (errors.InvalidHeader("a b"), problem_types.BAD_REQUEST),
    "a failure of the server": (RuntimeError("a secret"), problem_types.INTERNAL),
}


def parsed(response: bytes) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Return a response's status line, headers and JSON body."""
    head, body = response.split(b"\r\n\r\n", 1)
    status, *lines = head.decode().split("\r\n")
    return status, dict(line.split(": ", 1) for line in lines), json.loads(body)


@pytest.mark.parametrize("name", REASONS)
def test_a_refusal_is_a_documented_problem(name: str) -> None:
    exc, problem_type = REASONS[name]
    status, headers, body = parsed(refusal(exc, "abc-1"))
    assert status == f"HTTP/1.1 {problem_type.status} {problem_type.title}"
    assert (body["type"], body["status"]) == (problem_type.type, problem_type.status)
    assert (headers["Content-Type"], headers["X-Request-ID"]) == (problem_types.MIMETYPE, "abc-1")


@pytest.mark.parametrize("name", REASONS)
def test_a_refusal_has_the_headers_of_every_response(name: str) -> None:
    _, headers, _ = parsed(refusal(REASONS[name][0], "abc-1"))
    assert {**FIXED_HEADERS, **DEFAULT_HEADERS}.items() <= headers.items()


def test_a_failure_of_the_server_tells_the_client_nothing_and_the_log_its_cause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = Worker(0, 0, [], None, 30, Config(), logging.getLogger("gunicorn.error"))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        worker.handle_error(None, ours, None, RuntimeError("a secret"))
        response = theirs.recv(65536)
    worker.tmp.close()
    status, headers, _ = parsed(response)
    assert status == "HTTP/1.1 500 Internal Server Error"
    assert b"a secret" not in response
    [record] = caplog.records
    assert (record.getMessage(), record.status, record.problem) == ("request failed", 500, "internal-server-error")
    assert record.request_id == headers["X-Request-ID"]
    assert record.exc_info and str(record.exc_info[1]) == "a secret"
