"""`flask outbox …`: what the person on call does with the mails that wait, failed or are held."""

from __future__ import annotations

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

if TYPE_CHECKING:
    from orderconfirm.runtime import Runtime

outbox = AppGroup("outbox", help="Look at the mails that wait, failed or are held; retry, cancel, purge them.")

_SHOP = click.option("--shop", help="Whose order; needed only where several shops have that order id.")


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
    """The newest mails, without personal data: time, state, shop, order id, reason."""
    with _confirmations() as confirmations:
        entries = confirmations.newest([State(state) for state in states] or list(State), limit)
    for entry in entries:
        words = (_when(entry.accepted_at), f"{entry.state:<9}", entry.shop, entry.order_id, entry.reason or "")
        click.echo("  ".join(words).rstrip())
    if not entries:
        click.echo("No mails.", err=True)


@outbox.command()
@click.argument("order_id")
@_SHOP
def show(order_id: str, shop: str | None) -> None:
    """One order's mail and all that happened to it."""
    with _confirmations() as confirmations:
        entry = confirmations.status(_shop_of(confirmations, order_id, shop), order_id)
    if entry is None:
        raise _unknown(order_id, shop)
    _print(entry)


@outbox.command()
@click.argument("order_ids", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every mail in --state.")
@click.option(
    "--state",
    type=click.Choice([state.value for state in State if state in State.RETRYABLE]),
    default=State.FAILED.value,
    show_default=True,
    help="Together with --all: which ones.",
)
@click.option("--shop", help="Whose orders; without it, with --all, every shop's.")
def retry(order_ids: tuple[str, ...], every: bool, state: str, shop: str | None) -> None:
    """Send failed, held, expired or unknown mails again, each under its old Message-ID."""
    if every == bool(order_ids):
        raise click.UsageError("Name the orders, or say --all.")
    with _confirmations() as confirmations:
        if every:
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
    """Withdraw mails that are not sent yet."""
    with _confirmations() as confirmations:
        _do_each(
            confirmations, order_ids, shop, partial(_cancel, confirmations), "cancelled", "cannot be cancelled", _where
        )


@outbox.command()
@click.argument("order_id")
@click.option("--email", help="Another address; default: the order's own.")
@click.option("--reason", help="Why, for the order's story.")
@_SHOP
def resend(order_id: str, email: str | None, reason: str | None, shop: str | None) -> None:
    """Send an order's confirmation again, as a new mail; an address that takes no mail is released."""
    try:
        wanted = ResendSchema().load({"email": email, "reason": reason})
    except ValidationError as exc:
        told = "; ".join(f"--{fault.pointer[1:]} {fault.detail}" for fault in field_errors(exc.messages))
        raise click.UsageError(told) from exc
    with _confirmations() as confirmations:
        try:
            result = confirmations.resend(Resend(_shop_of(confirmations, order_id, shop), order_id, **wanted))
        except (WrongState, ContentDeleted) as refusal:
            raise click.ClickException(f"{order_id} cannot be sent again: {refusal}.") from refusal
    if result is None:
        raise _unknown(order_id, shop)
    click.echo(f"Mail {result.entry.revision + 1} of the order is due now: {result.entry.message_id}")


@outbox.command()
@click.option("--days", type=click.IntRange(0), help="Content that ended so long ago; default: RETENTION_DAYS.")
def purge(days: int | None) -> None:
    """Delete the content of finished orders now. Their ids stay known: a late replay still sends nothing."""
    if days is None:
        days = current_app.extensions["orderconfirm"].settings.retention_days
    with _confirmations() as confirmations:
        count = confirmations.purge(days * 86400)
    click.echo(f"The content of {count} orders is deleted.")


@contextmanager
def _confirmations() -> Iterator[OrderConfirmations]:
    runtime: Runtime = current_app.extensions["orderconfirm"]
    try:
        runtime.database.open()
        try:
            yield runtime.confirmations
        finally:
            runtime.database.close()
    except OutboxUnavailable as failure:
        raise click.ClickException(str(failure)) from failure


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
    """Do something to each order; one that it cannot be done to is told with the reason, and ends with 1."""
    shops = {order_id: _shop_of(confirmations, order_id, shop) for order_id in order_ids}
    missed = [order_id for order_id, whose in shops.items() if not act(whose, order_id)]
    click.echo(f"{_mails(len(shops) - len(missed))} {done}.")
    for order_id in missed:
        entry = confirmations.status(shops[order_id], order_id)
        click.echo(f"{order_id} {not_done}: {why(entry) if entry else 'no such order was ever accepted'}", err=True)
    if missed:
        raise SystemExit(1)


def _where(entry: OutboxEntry) -> str:
    return f"it is {entry.state}{', and its content is deleted' if entry.recipient is None else ''}"


def _why_not_retried(entry: OutboxEntry) -> str:
    """What has its content and stopped can be retried, unless its address takes no mail."""
    is_suppressed = entry.recipient is not None and entry.state in State.RETRYABLE
    return f"{_where(entry)}{', and its address takes no mail: resend releases it' if is_suppressed else ''}"


def _shop_of(confirmations: OrderConfirmations, order_id: str, named: str | None) -> str:
    """The shop that is named, else the one that has this order."""
    shops = [named] if named else confirmations.shops(order_id)
    if len(shops) > 1:
        raise click.ClickException(f"The shops {', '.join(shops)} each have an order {order_id}: name one with --shop.")
    return shops[0] if shops else DEFAULT_SHOP


def _unknown(order_id: str, shop: str | None) -> click.ClickException:
    return click.ClickException(f"No order {order_id} was ever accepted{f' for the shop {shop}' if shop else ''}.")


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
    }
    for name, value in rows.items():
        if value is not None:
            click.echo(f"{name:<16}{value}")
    told = [(each.at, each.revision, each.event, _words(each.stage, each.code, each.text)) for each in entry.history]
    # In brackets: what the relay told afterwards.
    told += [(each.at, each.revision, f"({each.event})", _words(each.code, each.text)) for each in entry.deliveries]
    for at, revision, event, words in sorted(told, key=lambda line: line[0]):
        mail = f"mail {revision + 1}  " if entry.revision else ""
        click.echo(f"  {_when(at)}  {mail}{event:<15}{words}".rstrip())


def _words(*words: object) -> str:
    return " ".join(str(word) for word in words if word is not None)


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"
