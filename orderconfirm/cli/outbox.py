"""`flask outbox …`: what the person on call does with the mails that wait, failed or are held."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import click
from flask import current_app
from flask.cli import AppGroup

from orderconfirm.errors import OutboxUnavailable
from orderconfirm.models import DEFAULT_SHOP, OutboxEntry, State
from orderconfirm.outbox.desk import FORGET_AT_ONCE, RETRYABLE, Desk

outbox = AppGroup("outbox", help="Look at the mails that wait, failed or are held; retry, cancel, purge them.")

_SHOP = click.option("--shop", default=DEFAULT_SHOP, show_default=True, help="Whose order.")


@outbox.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in State]),
    help="May be repeated; default: all.",
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="At most so many.")
def list_mails(states: tuple[str, ...], limit: int) -> None:
    """The newest mails, without personal data."""
    with _desk() as desk:
        entries = desk.newest([State(state) for state in states] or list(State), limit)
    for entry in entries:
        click.echo(f"{_when(entry.accepted_at)}  {entry.state:<9}  {entry.order_id}  {entry.reason or ''}".rstrip())
    if not entries:
        click.echo("No mails.", err=True)


@outbox.command()
@click.argument("order_id")
@_SHOP
def show(order_id: str, shop: str) -> None:
    """One order's mail and all that happened to it."""
    with _desk() as desk:
        entry = desk.find(shop, order_id)
    if entry is None:
        raise click.ClickException(f"No order {order_id} was ever accepted for shop {shop}.")
    _print(entry)


@outbox.command()
@click.argument("order_ids", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every mail in --state.")
@click.option(
    "--state",
    type=click.Choice([state.value for state in RETRYABLE]),
    default=State.FAILED.value,
    show_default=True,
    help="Together with --all: which ones.",
)
@_SHOP
def retry(order_ids: tuple[str, ...], every: bool, state: str, shop: str) -> None:
    """Send failed, held, expired or unknown mails again, each under its old Message-ID."""
    if every == bool(order_ids):
        raise click.UsageError("Name the orders, or say --all.")
    with _desk() as desk:
        if every:
            click.echo(f"{desk.requeue(shop, None, [State(state)])} mails are due now.")
            return
        missed = [order_id for order_id in order_ids if not desk.requeue(shop, order_id)]
        click.echo(f"{len(order_ids) - len(missed)} mails are due now.")
        _complain(desk, shop, missed, "cannot be retried")


@outbox.command()
@click.argument("order_ids", nargs=-1, required=True)
@_SHOP
def cancel(order_ids: tuple[str, ...], shop: str) -> None:
    """Withdraw mails that are not sent yet."""
    with _desk() as desk:
        missed = [order_id for order_id in order_ids if not desk.cancel(shop, order_id)]
        click.echo(f"{len(order_ids) - len(missed)} mails are cancelled.")
        _complain(desk, shop, missed, "cannot be cancelled")


@outbox.command()
@click.option("--days", type=click.IntRange(0), help="Content that ended so long ago; default: RETENTION_DAYS.")
def purge(days: int | None) -> None:
    """Delete the content of finished orders now. Their ids stay known: a late replay still sends nothing."""
    if days is None:
        days = current_app.extensions["orderconfirm"].settings.retention_days
    total = 0
    with _desk() as desk:
        while (count := desk.forget(days * 86400)) > 0:
            total += count
            if count < FORGET_AT_ONCE:
                break
    click.echo(f"The content of {total} orders is deleted.")


@contextmanager
def _desk() -> Iterator[Desk]:
    service = current_app.extensions["orderconfirm"]
    try:
        service.database.open()
        try:
            yield service.desk
        finally:
            service.database.close()
    except OutboxUnavailable as failure:
        raise click.ClickException(str(failure)) from failure


def _complain(desk: Desk, shop: str, order_ids: list[str], what: str) -> None:
    for order_id in order_ids:
        entry = desk.find(shop, order_id)
        why = f"it is {entry.state}" if entry else "no such order was ever accepted"
        click.echo(f"{order_id} {what}: {why}", err=True)
    if order_ids:
        raise SystemExit(1)


def _print(entry: OutboxEntry) -> None:
    rows = {
        "order": f"{entry.order_id} (shop {entry.shop})",
        "message id": entry.message_id,
        "state": entry.state,
        "reason": entry.reason,
        "accepted": _when(entry.accepted_at),
        "due": _when(entry.due_at) if entry.state in (State.QUEUED, State.UNKNOWN) else None,
        "attempts": entry.attempts,
        "possible copies": entry.possible_copies,
    }
    for name, value in rows.items():
        if value is not None:
            click.echo(f"{name:<16}{value}")
    for each in entry.history:
        seconds = f"{each.seconds:.3f} s" if each.seconds is not None else ""
        words = " ".join(str(part) for part in (each.stage, each.code, each.text, seconds) if part not in (None, ""))
        click.echo(f"  {_when(each.at)}  {each.event:<12}{words}".rstrip())


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"
