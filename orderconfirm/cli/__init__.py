"""The command line: `flask outbox …` for the person on call, `flask mail …` for template authors, `flask db …`."""

from __future__ import annotations

from flask import Flask

from orderconfirm.cli import db, mail, outbox
from orderconfirm.cli.transfer import copy


def init_app(app: Flask) -> None:
    """Register every command."""
    outbox.outbox.add_command(copy)
    app.cli.add_command(outbox.outbox)
    app.cli.add_command(mail.mail)
    app.cli.add_command(db.db)
