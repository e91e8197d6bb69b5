"""The WSGI entry point for gunicorn. The hooks in gunicorn.conf.py start the threads."""

from __future__ import annotations

import sys

from orderconfirm import create_app
from orderconfirm.errors import OrderConfirmError

try:
    app = create_app()
except OrderConfirmError as exc:
    print(f"orderconfirm cannot start: {exc}", file=sys.stderr)
    # gunicorn shuts down on this exit code. After any other code it would start workers over and over.
    raise SystemExit(4) from None
