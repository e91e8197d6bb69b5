"""`flask outbox copy`: move the outbox to another database."""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import with_appcontext

from orderconfirm.errors import OutboxUnavailable, TransferRefused
from orderconfirm.settings import values


@click.command()
@click.option("--to", "target", required=True, metavar="URL", help="sqlite:///file or postgresql://…")
@with_appcontext
def copy(target: str) -> None:
    """Copy everything from the database in DATABASE_URL to another one.

    Stop all services first. If the command is interrupted, repeat it: it continues where it stopped. To keep the
    target's password out of the list of processes, leave it out of the URL and set PGPASSWORD.
    """
    try:
        values.database(target)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--to") from exc
    try:
        counts = current_app.extensions["orderconfirm"].copy_to(target, click.progressbar)
    except (OutboxUnavailable, TransferRefused) as exc:
        raise click.ClickException(str(exc)) from exc
    for table, count in counts.items():
        click.echo(f"{table:<18}{count:>12,} rows, the same in both")
    click.echo("Set DATABASE_URL to the new database, and never start a service on the old one again.")
