"""Problems as HTML, for the pages on which a person acts."""

from __future__ import annotations

import logging

from flask import Blueprint, Response, render_template
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from wtforms import ValidationError

from orderconfirm.errors import OutboxUnavailable, UnconfirmedWrite
from orderconfirm.web import problem_types
from orderconfirm.web.pages.views import PAGE_POLICY

log = logging.getLogger(__name__)


def init_blueprint(bp: Blueprint) -> None:
    """Show this blueprint's problems as pages, under the pages' Content-Security-Policy."""
    bp.register_error_handler(HTTPException, _http_error)
    bp.register_error_handler(ValidationError, _csrf_error)
    bp.register_error_handler(OutboxUnavailable, _unavailable)
    bp.register_error_handler(UnconfirmedWrite, _unconfirmed)

    @bp.after_request
    def set_content_security_policy(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
        return response


def _http_error(exc: HTTPException) -> ResponseReturnValue:
    retry_after = [(name, value) for name, value in exc.get_headers() if name == "Retry-After"]
    return render_template("problem.html", title=exc.name, detail=exc.description), exc.code or 500, retry_after


def _csrf_error(_: ValidationError) -> ResponseReturnValue:
    problem = problem_types.CSRF_TOKEN
    return render_template("problem.html", title=problem.title, detail=problem.detail), problem.status


def _unavailable(exc: OutboxUnavailable) -> ResponseReturnValue:
    log.error("the outbox is unavailable", extra={"reason": str(exc)})
    detail = f"The database cannot be used: {exc}. Nothing was changed."
    return render_template("problem.html", title="The outbox cannot be read", detail=detail), 503


def _unconfirmed(exc: UnconfirmedWrite) -> ResponseReturnValue:
    log.error("a write is unconfirmed", extra={"reason": str(exc)})
    detail = "The database did not confirm the change. Look at the order: it may or may not be changed."
    return render_template("problem.html", title="The change is unconfirmed", detail=detail), 503
