"""`flask db …`: migrate the database, and show its revision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import AppGroup

from orderconfirm.errors import OutboxUnavailable

if TYPE_CHECKING:
    from orderconfirm.runtime import Runtime

db = AppGroup("db", help="Upgrade and downgrade the database, and show its revision.")


@db.command()
def upgrade() -> None:
    """Apply the pending migrations. Several processes may do so at once: one migrates while the rest wait."""
    with _runtime() as runtime:
        applied = runtime.database.schema.upgrade()
        _print_done("applied", applied, runtime)


@db.command()
@click.argument("revision", required=False)
def downgrade(revision: str | None) -> None:
    """Undo the last migration, or all those after REVISION. First stop the processes of this version."""
    with _runtime() as runtime:
        undone = runtime.database.schema.downgrade(revision)
        _print_done("undone", undone, runtime)


@db.command()
def current() -> None:
    """Show the revisions of the database and of this version, and the pending migrations."""
    with _runtime() as runtime:
        schema = runtime.database.schema
        found = schema.revision()
        pending = schema.pending(found)
    click.echo(f"database        {found.number if found else 'no revision'}")
    if found:
        click.echo(f"usable from     {found.oldest_compatible}")
    click.echo(f"this version    {schema.head}")
    click.echo(f"pending         {', '.join(pending) or 'nothing'}")


@db.command()
def history() -> None:
    """List all migrations of this version. An asterisk marks the revision of the database."""
    with _runtime() as runtime:
        schema = runtime.database.schema
        found = schema.revision()
        for each in schema.describe():
            mark = "*" if found and each.number == found.number else " "
            click.echo(f"{mark} {each.number}  usable from {each.oldest_compatible}  {each.title}")


@contextmanager
def _runtime() -> Iterator[Runtime]:
    runtime: Runtime = current_app.extensions["orderconfirm"]
    try:
        yield runtime
    except OutboxUnavailable as exc:
        raise click.ClickException(str(exc)) from exc
    finally:
        runtime.database.close()


def _print_done(done: str, names: list[str], runtime: Runtime) -> None:
    for name in names:
        click.echo(f"{done} {name}")
    found = runtime.database.schema.revision()
    click.echo(f"The database has revision {found.number if found else None}.")
