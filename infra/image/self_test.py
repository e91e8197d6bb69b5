"""Tries the installation during the image's build, which fails if prune.py has removed too much.

Renders a mail in every language, places an order and waits until it is sent, loads PostgreSQL's driver, and reports
modules that are imported without having been compiled, which would make every start slower.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import gunicorn.app.wsgiapp  # noqa: F401
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

import orderconfirm.server.gunicorn_logger
import orderconfirm.server.gunicorn_worker
import orderconfirm.server.hooks
from orderconfirm.checks.templates import examine_templates

ORDER = Path(orderconfirm.__file__).parents[1] / "examples/order.json"
TIMEOUT = 120


def send_an_order() -> None:
    from wsgi import app  # reads the environment

    runtime = app.extensions["orderconfirm"]
    for finding in examine_templates(runtime.settings):
        print(finding)
        assert finding.status == "ok", finding
    runtime.start()
    try:
        client = app.test_client()
        placed = client.post("/api/order-confirmation", data=ORDER.read_bytes(), content_type="application/json")
        assert placed.status_code == 202, placed.text
        for page in ("/", "/inbox", "/outbox", "/docs", "/redoc", "/openapi.json", "/metrics", "/readyz"):
            assert client.get(page).status_code == 200, page
        deadline = time.monotonic() + TIMEOUT
        while (state := client.get(placed.json["links"]["self"]).json["state"]) != "sent":
            assert time.monotonic() < deadline, state
            time.sleep(0.1)
    finally:
        runtime.stop()


def load_postgresql_driver() -> None:
    try:
        create_engine("postgresql+psycopg://127.0.0.1:1/").connect()
    except OperationalError as exc:
        assert "refused" in str(exc), exc  # noqa: PT017


def uncompiled() -> list[str]:
    """Return the modules that were imported from source."""
    return sorted(
        name
        for name, module in sys.modules.items()
        if (path := getattr(module, "__cached__", None)) and name != "__main__" and not Path(path).exists()
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"APP_ENV": "development", "DATABASE_URL": f"sqlite:///{folder}/outbox.db"}
        send_an_order()
    load_postgresql_driver()
    if names := uncompiled():
        sys.exit(f"Not compiled: {' '.join(names)}. See compileall in the Dockerfile.")
