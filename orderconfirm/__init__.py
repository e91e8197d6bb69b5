"""orderconfirm: accepts shop orders, stores them durably and sends each customer a confirmation mail."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from orderconfirm.settings import Settings


def create_app(settings: Settings | None = None) -> Flask:
    """Return the wired application. No thread runs until `app.extensions["orderconfirm"].start()`.

    `settings` default to those of the environment and `.env`. Raises SettingsError or TemplateError.
    """
    # Imported here because gunicorn's master process needs only the settings; the rest would cost it 30 MB.
    from flask import Flask

    from orderconfirm import cli, web
    from orderconfirm.logs import configure_logging
    from orderconfirm.runtime import Runtime
    from orderconfirm.settings import load_environment

    settings = settings or load_environment(os.environ)
    configure_logging(settings.log_level)
    app = Flask(__name__, static_folder=None)
    app.extensions["orderconfirm"] = Runtime(app, settings)
    web.init_app(app, settings)
    cli.init_app(app)
    return app
