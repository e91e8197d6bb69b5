"""The blueprint to which each provider's module adds its route."""

from __future__ import annotations

from orderconfirm.web import problem_types
from orderconfirm.web.openapi.blueprint import Blueprint

bp = Blueprint("webhooks", __name__, url_prefix="/api/webhooks", description="Webhooks of relays and shops")

#: The problems of every webhook, for `bp.operation`.
PROBLEMS = (
    *(problem_types.BAD_REQUEST, problem_types.REQUEST_TIMEOUT, problem_types.TOO_LARGE, problem_types.BAD_SIGNATURE),
    *(problem_types.URI_TOO_LONG, problem_types.MISDIRECTED, problem_types.HEADERS_TOO_LARGE, problem_types.INTERNAL),
    *(problem_types.UNAVAILABLE, problem_types.UNCONFIRMED),
)
