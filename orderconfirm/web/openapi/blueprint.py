"""A blueprint whose operations parse their arguments strictly and document their problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import flask_smorest

from orderconfirm.web import problem_types
from orderconfirm.web.problem_types import ProblemType
from orderconfirm.web.request_parsing import StrictParser

View = TypeVar("View", bound=Callable[..., Any])

_TEXT = {"type": "string"}
#: Headers of every response.
_HEADERS = {"X-Request-ID": {"description": "the caller's id, or a generated one; it is in the log", "schema": _TEXT}}
_RETRY_AFTER = {"description": "seconds", "schema": {"type": "integer", "minimum": 1}}
_WWW_AUTHENTICATE = {"description": "how to send a key (RFC 6750)", "schema": _TEXT}


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """flask-smorest's blueprint with StrictParser and `operation`."""

    ARGUMENTS_PARSER = StrictParser()

    def response(self, *arguments: Any, **options: Any) -> Callable[[View], View]:
        """Document a response, including the headers that every response has."""
        headers = {**_HEADERS, **options.pop("headers", {})}
        decorate: Callable[[View], View] = super().response(*arguments, headers=headers, **options)
        return decorate

    def alt_response(self, *arguments: Any, **options: Any) -> Callable[[View], View]:
        """Document an alternative response, including the headers that every response has."""
        headers = {**_HEADERS, **options.pop("headers", {})}
        decorate: Callable[[View], View] = super().alt_response(*arguments, headers=headers, **options)
        return decorate

    def operation(self, *problems: ProblemType, **options: Any) -> Callable[[View], View]:
        """Document an operation that may respond with these problems. Its operationId is the view's name.

        `options` are those of an OpenAPI operation; `responses` among them extend the documented responses.
        """
        responses = _problem_responses(problems)
        for status, response in options.pop("responses", {}).items():
            documented = responses.get(status, {})
            headers = {**documented.get("headers", {}), **response.get("headers", {})}
            responses[status] = {**documented, **response, **({"headers": headers} if headers else {})}

        def decorate(view: View) -> View:
            decorated: View = self.doc(operationId=view.__name__, responses=responses, **options)(view)
            return decorated

        return decorate


def problem_response(problems: list[ProblemType]) -> dict[str, Any]:
    """Return the OpenAPI response of a status: all its problem types, each with its example."""
    headers: dict[str, Any] = {**_HEADERS}
    if any(each.has_challenge for each in problems):
        headers["WWW-Authenticate"] = _WWW_AUTHENTICATE
    if problem_types.TOO_MANY in problems or any(each.retry_after for each in problems):
        headers["Retry-After"] = _RETRY_AFTER
    return {
        "description": " ".join(each.meaning for each in problems),
        "content": {
            problem_types.MIMETYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {each.name: {"summary": each.title, "value": each.example} for each in problems},
            }
        },
        "headers": headers,
    }


def _problem_responses(problems: tuple[ProblemType, ...]) -> dict[int, Any]:
    by_status: dict[int, list[ProblemType]] = {}
    for each in problems:
        by_status.setdefault(each.status, []).append(each)
    return {status: problem_response(same_status) for status, same_status in sorted(by_status.items())}
