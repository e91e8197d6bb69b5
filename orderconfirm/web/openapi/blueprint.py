"""A blueprint whose operations parse their arguments strictly and document their problems.

flask-smorest documents the operations; parsing and responding is done here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import flask_smorest
from flask import Response, jsonify, make_response
from marshmallow import Schema

from orderconfirm.web import problem_types
from orderconfirm.web.problem_types import ProblemType
from orderconfirm.web.request_parsing import parse_body, parse_query

View = TypeVar("View", bound=Callable[..., Any])

_TEXT = {"type": "string"}
#: Headers of every response.
_HEADERS = {"X-Request-ID": {"description": "the caller's id or a generated one, as in the log", "schema": _TEXT}}
_RETRY_AFTER = {"description": "seconds", "schema": {"type": "integer", "minimum": 1}}
_WWW_AUTHENTICATE = {"description": "how to send a key (RFC 6750)", "schema": _TEXT}


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """flask-smorest's blueprint with strict parsing and `operation`."""

    def arguments(self, schema: Schema, *, location: str = "json", **options: Any) -> Callable[[View], View]:
        """Pass the body, or the query with location="query", to the view as its first argument, loaded by `schema`."""
        parse = parse_body if location == "json" else parse_query

        def decorate(view: View) -> View:
            @wraps(view)
            def with_arguments(**path_arguments: Any) -> Any:
                return view(parse(schema), **path_arguments)

            return cast(View, _document(with_arguments, document(view)))

        document = super().arguments(schema, location=location, **options)
        return decorate

    def response(self, status: int, schema: Any = None, **options: Any) -> Callable[[View], View]:
        """Respond with what the view returns: a response, or a body in the form of `schema`.

        A tuple also has a status that replaces `status`, and optional headers. Every response's headers are documented.
        flask-smorest would convert the body again, which takes as long as validating the request.
        """

        def decorate(view: View) -> View:
            @wraps(view)
            def with_response(*arguments: Any, **path_arguments: Any) -> Any:
                result = view(*arguments, **path_arguments)
                if isinstance(result, Response):
                    return result
                body, *rest = result if isinstance(result, tuple) else (result,)
                return make_response(jsonify(body) if schema else "", *(rest or [status]))

            return cast(View, _document(with_response, document(view)))

        headers = {**_HEADERS, **options.pop("headers", {})}
        document = super().response(status, schema, headers=headers, **options)
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


def _document(view: Any, documented: Any) -> Any:
    """Give `view` the documentation that flask-smorest has attached to `documented`."""
    view._apidoc = documented._apidoc
    return view


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
