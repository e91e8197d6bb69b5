"""`flask outbox …`: commands for the person on call."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import AppGroup
from marshmallow import ValidationError

from orderconfirm.confirmations import OrderConfirmations
from orderconfirm.errors import ContentDeleted, OutboxUnavailable, WrongState
from orderconfirm.models import DEFAULT_SHOP, OutboxEntry, Resend, State
from orderconfirm.order.schemas import ResendSchema, field_errors
from orderconfirm.queries import Search
from orderconfirm.settings import ROOT

if TYPE_CHECKING:
    from orderconfirm.runtime import Runtime

outbox = AppGroup(
    "outbox", help="Send, list, show, retry, cancel, resend and purge mails, or copy the outbox to another database."
)

_SHOP = click.option("--shop", help="Needed only when several shops have an order with this id.")


@outbox.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in State]),
    help="May be given several times. Default: all states.",
)
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="The number of mails to list."
)
def list_mails(states: tuple[str, ...], limit: int) -> None:
    """List the newest mails: time, state, shop, order id and reason. Shows no personal data."""
    with _confirmations() as confirmations:
        entries, _ = confirmations.search(None, Search(states=tuple(map(State, states))), None, limit)
    for entry in entries:
        words = (_when(entry.accepted_at), f"{entry.state:<9}", entry.shop, entry.order_id, entry.reason or "")
        click.echo("  ".join(words).rstrip())
    if not entries:
        click.echo("No mails.", err=True)


@outbox.command()
@click.argument("order_id")
@_SHOP
def show(order_id: str, shop: str | None) -> None:
    """Show an order's mail and its history."""
    with _confirmations() as confirmations:
        entry = confirmations.status(_shop_of(confirmations, order_id, shop), order_id)
    if entry is None:
        raise _unknown(order_id, shop)
    _print(entry)


@outbox.command()
@click.argument("order_ids", nargs=-1)
@click.option("--all", "all_mails", is_flag=True, help="Retry every mail in --state.")
@click.option(
    "--state",
    type=click.Choice([state.value for state in State if state in State.RETRYABLE]),
    default=State.FAILED.value,
    show_default=True,
    help="With --all: the state of the mails to retry.",
)
@click.option(
    "--shop",
    help="With --all: retry only this shop's mails. With order ids: needed only when several shops have an order with "
    "this id.",
)
def retry(order_ids: tuple[str, ...], all_mails: bool, state: str, shop: str | None) -> None:
    """Retry failed, held, expired or unknown mails. Each keeps its Message-ID."""
    if all_mails == bool(order_ids):
        raise click.UsageError("Give order ids, or --all.")
    with _confirmations() as confirmations:
        if all_mails:
            count = confirmations.retry_all(shop, [State(state)])
            click.echo(f"{_mails(count)} due now.")
        else:
            _do_each(
                confirmations, order_ids, shop, confirmations.retry, "due now", "cannot be retried", _why_not_retried
            )


@outbox.command()
@click.argument("order_ids", nargs=-1, required=True)
@_SHOP
def cancel(order_ids: tuple[str, ...], shop: str | None) -> None:
    """Cancel mails that have not been sent."""
    with _confirmations() as confirmations:
        cancel_one = partial(_cancel, confirmations)
        _do_each(confirmations, order_ids, shop, cancel_one, "cancelled", "cannot be cancelled", _state_of)


@outbox.command()
@click.argument("order_id")
@click.option("--email", help="Send to this address instead of the order's own.")
@click.option("--reason", help="The reason, shown in the order's history.")
@_SHOP
def resend(order_id: str, email: str | None, reason: str | None, shop: str | None) -> None:
    """Send an order's confirmation again as a new mail. A suppressed address is released."""
    try:
        changes = ResendSchema().load({"email": email, "reason": reason})
    except ValidationError as exc:
        details = "; ".join(f"--{error.pointer[1:]} {error.detail}" for error in field_errors(exc.messages))
        raise click.UsageError(details) from exc
    with _confirmations() as confirmations:
        try:
            result = confirmations.resend(Resend(_shop_of(confirmations, order_id, shop), order_id, **changes))
        except (WrongState, ContentDeleted) as exc:
            raise click.ClickException(f"{order_id} cannot be sent again: {exc}.") from exc
    if result is None:
        raise _unknown(order_id, shop)
    click.echo(f"Mail {result.entry.revision + 1} of the order is due now: {result.entry.message_id}")


@outbox.command()
@click.option(
    "--days",
    type=click.IntRange(0),
    help="Purge orders that ended at least this many days ago. Default: RETENTION_DAYS.",
)
def purge(days: int | None) -> None:
    """Delete the content of finished orders. Their ids stay known, so that a late replay sends no mail."""
    if days is None:
        days = current_app.extensions["orderconfirm"].settings.retention_days
    with _confirmations() as confirmations:
        count = confirmations.purge(days * 86400)
    click.echo(f"Deleted the content of {count} orders.")


@outbox.command()
def run() -> None:
    """Send mails, and take no orders, until SIGTERM. Serves /health, /ready and /metrics at PORT."""
    os.chdir(ROOT)  # gunicorn looks for gunicorn.conf.py here
    os.execve(sys.executable, [sys.executable, "-m", "gunicorn"], {**os.environ, "SENDER": "only"})  # noqa: S606


@contextmanager
def _confirmations() -> Iterator[OrderConfirmations]:
    runtime: Runtime = current_app.extensions["orderconfirm"]
    try:
        runtime.database.open()
        try:
            yield runtime.confirmations
        finally:
            runtime.database.close()
    except OutboxUnavailable as exc:
        raise click.ClickException(str(exc)) from exc


def _cancel(confirmations: OrderConfirmations, shop: str, order_id: str) -> bool:
    try:
        entry = confirmations.cancel(shop, order_id)
    except WrongState:
        return False
    return entry is not None and entry.state is State.CANCELLED


def _do_each(
    confirmations: OrderConfirmations,
    order_ids: tuple[str, ...],
    shop: str | None,
    act: Callable[[str, str], bool],
    done: str,
    not_done: str,
    why: Callable[[OutboxEntry], str],
) -> None:
    """Call `act` for each order. If any fails, print the reason for each and exit with 1."""
    shops = {order_id: _shop_of(confirmations, order_id, shop) for order_id in order_ids}
    missed = [order_id for order_id, name in shops.items() if not act(name, order_id)]
    click.echo(f"{_mails(len(shops) - len(missed))} {done}.")
    for order_id in missed:
        entry = confirmations.status(shops[order_id], order_id)
        click.echo(f"{order_id} {not_done}: {why(entry) if entry else 'no such order was accepted'}", err=True)
    if missed:
        raise SystemExit(1)


def _state_of(entry: OutboxEntry) -> str:
    return f"it is {entry.state}{', and its content is deleted' if entry.recipient is None else ''}"


def _why_not_retried(entry: OutboxEntry) -> str:
    """A retryable mail with content is refused only because its address is suppressed."""
    is_suppressed = entry.recipient is not None and entry.state in State.RETRYABLE
    return f"{_state_of(entry)}{', and its address is suppressed: use resend to release it' if is_suppressed else ''}"


def _shop_of(confirmations: OrderConfirmations, order_id: str, given: str | None) -> str:
    """Return the given shop, else the one that has this order, else the default shop."""
    shops = [given] if given else confirmations.shops(order_id)
    if len(shops) > 1:
        raise click.ClickException(
            f"The shops {', '.join(shops)} each have an order {order_id}: choose one with --shop."
        )
    return shops[0] if shops else DEFAULT_SHOP


def _unknown(order_id: str, shop: str | None) -> click.ClickException:
    return click.ClickException(f"No order {order_id} was accepted{f' for the shop {shop}' if shop else ''}.")


def _mails(count: int) -> str:
    return "1 mail is" if count == 1 else f"{count} mails are"


def _print(entry: OutboxEntry) -> None:
    rows = {
        "order": f"{entry.order_id} (shop {entry.shop})",
        "mail": f"{entry.revision + 1}, the newest of the order" if entry.revision else None,
        "message id": entry.message_id,
        "state": entry.state,
        "reason": entry.reason,
        "delivery": entry.delivery,
        "accepted": _when(entry.accepted_at),
        "due": _when(entry.due_at) if entry.state in State.DUE else None,
        "attempts": entry.attempts,
        "possible copies": entry.possible_copies,
        "request id": entry.request_id,
    }
    for name, value in rows.items():
        if value is not None:
            click.echo(f"{name:<16}{value}")
    lines = [(each.at, each.revision, each.event, _words(each.stage, each.code, each.text)) for each in entry.history]
    # Delivery events are printed in parentheses.
    lines += [(each.at, each.revision, f"({each.event})", _words(each.code, each.text)) for each in entry.deliveries]
    for at, revision, event, words in sorted(lines, key=lambda line: line[0]):
        mail = f"mail {revision + 1}  " if entry.revision else ""
        click.echo(f"  {_when(at)}  {mail}{event:<15}{words}".rstrip())


def _words(*words: object) -> str:
    return " ".join(str(word) for word in words if word is not None)


def _when(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z"
