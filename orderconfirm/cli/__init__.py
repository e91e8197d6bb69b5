"""The command line: `flask check`, `outbox`, `hooks`, `shops`, `db`, and `mail` for template authors."""

from __future__ import annotations

from flask import Flask

from orderconfirm.cli import db, hooks, mail, outbox, shops
from orderconfirm.cli.check import check
from orderconfirm.cli.transfer import copy


def init_app(app: Flask) -> None:
    """Register every command."""
    app.cli.add_command(check)
    outbox.outbox.add_command(copy)
    app.cli.add_command(outbox.outbox)
    app.cli.add_command(hooks.hooks)
    app.cli.add_command(shops.shops)
    app.cli.add_command(mail.mail)
    app.cli.add_command(db.db)
