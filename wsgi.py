"""The WSGI entry point for gunicorn and flask. The hooks in gunicorn.conf.py start the threads."""

from __future__ import annotations

import os
import sys
from itertools import pairwise

from orderconfirm import create_app
from orderconfirm.errors import CHECK_HINT, OrderConfirmError


def _is_check() -> bool:
    """Whether this is `flask check`, which must work with the settings that `create_app` refuses."""
    words = [word for before, word in pairwise(sys.argv) if before not in ("-A", "--app", "-e", "--env-file")]
    command = next((word for word in words if not word.startswith("-")), "")
    return os.environ.get("FLASK_RUN_FROM_CLI") == "true" and command == "check"


if _is_check():
    from flask import Flask

    from orderconfirm.cli.check import check

    app = Flask("orderconfirm", static_folder=None)
    app.cli.add_command(check)
else:
    try:
        app = create_app()
    except OrderConfirmError as exc:
        print(f"orderconfirm cannot start: {exc}\n{CHECK_HINT}", file=sys.stderr)
        # gunicorn shuts down on this exit code. After any other code it would start workers over and over.
        raise SystemExit(4) from None
