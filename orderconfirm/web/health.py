"""Whether this process lives."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

bp = Blueprint("health", __name__)


@bp.get("/health")
def health() -> Response:
    """200 as long as requests are answered; a relay that is away is no reason to replace this process."""
    return jsonify({"status": "healthy"})
