"""The orders that the benchmarks place: examples/order.json, each with an id of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "examples" / "order.json"
API_KEY = "benchmark-key-of-the-shop"
URL = "/api/order-confirmation"


def make_body(order_id: str = "ORD-12345") -> dict[str, Any]:
    """Return the sample order with this id."""
    return {**json.loads(SAMPLE.read_text(encoding="utf-8")), "order_id": order_id}


def order_ids(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number:06d}" for number in range(count)]


def relay_variables(port: int, ca_file: str, user: str, password: str) -> dict[str, str]:
    """Return the environment for a relay with STARTTLS and a login."""
    return {
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_PORT": str(port),
        "MAIL_USERNAME": user,
        "MAIL_PASSWORD": password,
        "MAIL_CA_FILE": ca_file,
        "EMAIL_SENDER": "Acme, Inc. <orders@acme.example>",
        "COMPANY_NAME": "Acme, Inc.",
        # The sink finds the order of a mail by them.
        "MAILTRAP_HEADERS": "true",
    }
