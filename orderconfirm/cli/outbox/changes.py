"""`flask outbox retry`, `cancel`, `resend`, `erase`, `purge` and `run`: changes to orders by a person."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial

import click
from flask import current_app
from marshmallow import ValidationError

from orderconfirm.cli.outbox.group import SHOP, open_confirmations, outbox, run_batches, shop_of, unknown
from orderconfirm.confirmations import OrderConfirmations
from orderconfirm.errors import ContentDeleted, WrongState
from orderconfirm.models import OutboxEntry, Resend, State
from orderconfirm.order.schemas import ResendSchema, field_errors
from orderconfirm.settings import ROOT

_YES = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


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
    with open_confirmations() as confirmations:
        if all_mails:
            count = run_batches("Retrying", confirmations.retry_all(shop, [State(state)]))
            click.echo(f"{_mails(count)} due now.")
        else:
            _do_each(
                confirmations, order_ids, shop, confirmations.retry, "due now", "cannot be retried", _why_not_retried
            )


@outbox.command()
@click.argument("order_ids", nargs=-1, required=True)
@SHOP
def cancel(order_ids: tuple[str, ...], shop: str | None) -> None:
    """Cancel mails that have not been sent."""
    with open_confirmations() as confirmations:
        cancel_one = partial(_cancel, confirmations)
        _do_each(confirmations, order_ids, shop, cancel_one, "cancelled", "cannot be cancelled", _state_of)


@outbox.command()
@click.argument("order_id")
@click.option("--email", help="Send to this address instead of the order's own.")
@click.option("--reason", help="The reason, shown in the order's history.")
@SHOP
def resend(order_id: str, email: str | None, reason: str | None, shop: str | None) -> None:
    """Send an order's confirmation again as a new mail. A suppressed address is released."""
    try:
        changes = ResendSchema().load({"email": email, "reason": reason})
    except ValidationError as exc:
        details = "; ".join(f"--{error.pointer[1:]} {error.detail}" for error in field_errors(exc.messages))
        raise click.UsageError(details) from exc
    with open_confirmations() as confirmations:
        try:
            result = confirmations.resend(Resend(shop_of(confirmations, order_id, shop), order_id, **changes))
        except (WrongState, ContentDeleted) as exc:
            raise click.ClickException(f"{order_id} cannot be sent again: {exc}.") from exc
    if result is None:
        raise unknown(order_id, shop)
    click.echo(f"Mail {result.entry.revision + 1} of the order is due now: {result.entry.message_id}")


@outbox.command()
@click.argument("order_id")
@SHOP
@_YES
def erase(order_id: str, shop: str | None, yes: bool) -> None:
    """Delete an order's personal data now, and cancel its mail if it has not been sent.

    The id stays known, so that a late replay sends no mail.
    """
    with open_confirmations() as confirmations:
        name = shop_of(confirmations, order_id, shop)
        if not confirmations.status(name, order_id):
            raise unknown(order_id, shop)
        if not yes:
            click.confirm(f"Delete the content and the history of order {order_id} (shop {name}) for good?", abort=True)
        try:
            confirmations.erase(name, order_id)
        except WrongState as exc:
            raise click.ClickException(f"{order_id} cannot be erased: {exc}.") from exc
    click.echo(f"The personal data of order {order_id} is deleted.")


@outbox.command()
@click.option(
    "--days",
    type=click.IntRange(0),
    help="Purge orders that finished at least this many days ago. Default: RETENTION_DAYS.",
)
@_YES
def purge(days: int | None, yes: bool) -> None:
    """Delete the content of finished orders. Their ids stay known, so that a late replay sends no mail.

    Asks for confirmation if --days is less than RETENTION_DAYS.
    """
    retention_days = current_app.extensions["orderconfirm"].settings.retention_days
    if days is None:
        days = retention_days
    if days < retention_days and not yes:
        which = f"that finished more than {days} days ago" if days else "that have finished"
        click.confirm(
            f"Delete the content and the history of all orders {which}? They can no longer be read or sent again.",
            abort=True,
        )
    with open_confirmations() as confirmations:
        count = run_batches("Deleting", confirmations.purge(days * 86400))
    click.echo(f"Deleted the content of {count:,} {'order' if count == 1 else 'orders'}.")


@outbox.command()
def run() -> None:
    """Send mails until SIGTERM, and accept no orders. Serves /health, /ready and /metrics at PORT."""
    os.chdir(ROOT)  # gunicorn looks for gunicorn.conf.py here
    os.execve(sys.executable, [sys.executable, "-m", "gunicorn"], {**os.environ, "SENDER": "only"})  # noqa: S606


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
    shops = {order_id: shop_of(confirmations, order_id, shop) for order_id in order_ids}
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


def _mails(count: int) -> str:
    return "1 mail is" if count == 1 else f"{count:,} mails are"
