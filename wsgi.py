"""The WSGI entry point: `gunicorn` with gunicorn.conf.py starts it, and the threads behind it."""

from __future__ import annotations

import sys

from orderconfirm import create_app
from orderconfirm.errors import OrderConfirmError

try:
    app = create_app()
except OrderConfirmError as exc:
    print(f"orderconfirm cannot start: {exc}", file=sys.stderr)
    # gunicorn stops for good on this exit code; any other would have it start worker after worker.
    raise SystemExit(4) from None
