"""What our API's operations have in common: how arguments are read, and how what may go wrong is documented."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import flask_smorest

from orderconfirm.web import problem_types
from orderconfirm.web.problem_types import ProblemType
from orderconfirm.web.request_parsing import StrictParser

View = TypeVar("View", bound=Callable[..., Any])

_TEXT = {"type": "string"}
_HEADERS = {"X-Request-ID": {"description": "the caller's own, or one of ours; it stands in the log", "schema": _TEXT}}
_RETRY_AFTER = {"description": "seconds", "schema": {"type": "integer", "minimum": 1}}
_WWW_AUTHENTICATE = {"description": "how a key is sent (RFC 6750)", "schema": _TEXT}


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """flask-smorest's, reading arguments our way."""

    ARGUMENTS_PARSER = StrictParser()

    def response(self, *arguments: Any, **options: Any) -> Callable[[View], View]:
        """flask-smorest's, with the headers that every answer has."""
        headers = {**_HEADERS, **options.pop("headers", {})}
        decorate: Callable[[View], View] = super().response(*arguments, headers=headers, **options)
        return decorate

    def alt_response(self, *arguments: Any, **options: Any) -> Callable[[View], View]:
        """The same."""
        headers = {**_HEADERS, **options.pop("headers", {})}
        decorate: Callable[[View], View] = super().alt_response(*arguments, headers=headers, **options)
        return decorate

    def operation(self, *failures: ProblemType, **more: Any) -> Callable[[View], View]:
        """Document an operation: its id is the view's name, `failures` are the kinds it may answer with.

        `more` is OpenAPI's; in `responses` it adds to what `response` and `alt_response` say.
        """
        responses = _responses(failures)
        for status, response in more.pop("responses", {}).items():
            of_failure = responses.get(status, {})
            headers = {**of_failure.get("headers", {}), **response.get("headers", {})}
            responses[status] = {**of_failure, **response, **({"headers": headers} if headers else {})}

        def decorate(view: View) -> View:
            documented: View = self.doc(operationId=view.__name__, responses=responses, **more)(view)
            return documented

        return decorate


def _responses(failures: tuple[ProblemType, ...]) -> dict[int, Any]:
    by_status: dict[int, list[ProblemType]] = {}
    for kind in failures:
        by_status.setdefault(kind.status, []).append(kind)
    return {status: failure(alike) for status, alike in sorted(by_status.items())}


def failure(alike: list[ProblemType]) -> dict[str, Any]:
    """What a status means: every kind that has it, with its example."""
    headers: dict[str, Any] = {**_HEADERS}
    if problem_types.UNAUTHORIZED in alike:
        headers["WWW-Authenticate"] = _WWW_AUTHENTICATE
    if problem_types.TOO_MANY in alike or any(kind.retry_after for kind in alike):
        headers["Retry-After"] = _RETRY_AFTER
    return {
        "description": " ".join(kind.meaning for kind in alike),
        "content": {
            problem_types.MIMETYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {kind.name: {"summary": kind.title, "value": kind.example} for kind in alike},
            }
        },
        "headers": headers,
    }
