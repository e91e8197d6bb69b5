"""`flask outbox list` and `show`: the mails, and the history of one."""

from __future__ import annotations

from datetime import datetime

import click
from marshmallow import ValidationError

from orderconfirm import representation
from orderconfirm.cli.outbox.group import JSON, SHOP, open_confirmations, outbox, shop_of, to_json, unknown, when
from orderconfirm.models import Delivery, MerchantCopy, OutboxEntry, State
from orderconfirm.order.fields import Timestamp
from orderconfirm.queries import Callback, Search


def _time(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    try:
        return Timestamp().deserialize(text) if text else None
    except ValidationError as exc:
        raise click.BadParameter(f"{text} {'; '.join(exc.messages)}") from exc


@outbox.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in State]),
    help="Only mails in this state. May be given several times. Default: all states.",
)
@click.option(
    "--delivery",
    "deliveries",
    multiple=True,
    type=click.Choice([delivery.value for delivery in Delivery]),
    help="Only mails that the relay reported as this after accepting them. May be given several times.",
)
@click.option("--shop", help="Only this shop's mails.")
@click.option("--order", "order_id", help="Only this order's mails, by its complete id.")
@click.option("--email", help="Only mails to this address.")
@click.option(
    "--since", metavar="TIME", callback=_time, help="Accepted at this time or later: 2026-11-30, or 2026-11-30T03:00Z."
)
@click.option("--until", metavar="TIME", callback=_time, help="Accepted before this time.")
@click.option("--possible-copies", is_flag=True, help="Only mails that may have been sent more than once.")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="The number of mails to list."
)
@JSON
def list_mails(
    states: tuple[str, ...],
    deliveries: tuple[str, ...],
    shop: str | None,
    order_id: str | None,
    email: str | None,
    since: datetime | None,
    until: datetime | None,
    possible_copies: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List the newest mails: time accepted, state and delivery, shop, order id, and the reason.

    Without --json it shows no personal data.
    """
    search = Search(
        states=tuple(map(State, states)),
        deliveries=tuple(map(Delivery, deliveries)),
        order_id=order_id,
        recipient=email,
        has_possible_copies=possible_copies,
        since=since,
        until=until,
    )
    with open_confirmations() as confirmations:
        entries, more = confirmations.search(shop, search, None, limit)
        waiting = confirmations.why_waiting(entries)
    if as_json:
        mails = [
            {"shop": each.shop, **representation.summary(each), "waiting": waiting.get(each.id)} for each in entries
        ]
        click.echo(to_json(mails))
        return
    width = max((len(_outcome(entry)) for entry in entries), default=0)
    for entry in entries:
        columns = (when(entry.accepted_at), f"{_outcome(entry):<{width}}", entry.shop, entry.order_id)
        click.echo("  ".join((*columns, _why(entry, waiting.get(entry.id)))).rstrip())
    if not entries:
        click.echo("No mails.", err=True)
    if more:
        click.echo(f"There are more: these are the newest {limit:,}.", err=True)


@outbox.command()
@click.argument("order_id")
@SHOP
@JSON
def show(order_id: str, shop: str | None, as_json: bool) -> None:
    """Show an order's mail, its address and its history."""
    with open_confirmations() as confirmations:
        entry = confirmations.status(shop_of(confirmations, order_id, shop), order_id)
        waiting = confirmations.why_waiting([entry]).get(entry.id) if entry else None
        callbacks = confirmations.callbacks.of_order(entry.shop, entry.order_id) if entry else []
    if entry is None:
        raise unknown(order_id, shop)
    if as_json:
        click.echo(to_json({"shop": entry.shop, **representation.detail(entry, waiting, callbacks)}))
    else:
        _print(entry, waiting, callbacks)


def _outcome(entry: OutboxEntry) -> str:
    return f"{entry.state}/{entry.delivery}" if entry.delivery else entry.state


def _why(entry: OutboxEntry, waiting: str | None) -> str:
    reason = None if waiting and entry.reason and entry.reason in waiting else entry.reason
    copies = f"possible copies: {entry.possible_copies}" if entry.possible_copies else None
    return "; ".join(words for words in (reason, waiting, copies) if words)


def _print(entry: OutboxEntry, waiting: str | None, callbacks: list[Callback]) -> None:
    rows = {
        "order": f"{entry.order_id} (shop {entry.shop})",
        "mail": f"{entry.revision + 1}, the newest of the order" if entry.revision else None,
        "message id": entry.message_id,
        "to": entry.recipient,
        "state": entry.state,
        "reason": entry.reason,
        "what to do": representation.advise(entry),
        "waiting": waiting,
        "delivery": entry.delivery,
        "accepted": when(entry.accepted_at),
        "due": when(entry.due_at) if entry.state in State.DUE else None,
        "attempts": entry.attempts,
        "possible copies": entry.possible_copies,
        "request id": entry.request_id,
        "content": None if entry.recipient else "erased" if entry.is_erased else "deleted",
        "merchant copy": _copy(entry.merchant_copy) if entry.merchant_copy else None,
    }
    for name, value in rows.items():
        if value is not None:
            click.echo(f"{name:<16}{value}")
    lines = [(each.at, each.revision, each.event, _words(each.stage, each.code, each.text)) for each in entry.history]
    # Delivery events are printed in parentheses, callbacks to the shop with an arrow.
    lines += [(each.at, each.revision, f"({each.event})", _words(each.code, each.text)) for each in entry.deliveries]
    lines += [(each.at, each.revision, f"→ {each.event}", _words(each.state, each.reason)) for each in callbacks]
    for at, revision, event, words in sorted(lines, key=lambda line: line[0]):
        mail = f"mail {revision + 1}  " if entry.revision else ""
        click.echo(f"  {when(at)}  {mail}{event:<15}{words}".rstrip())
    if copy := entry.merchant_copy:
        steps = [(each.at, each.event, _words(each.stage, each.code, each.text)) for each in copy.history]
        steps += [(each.at, f"({each.event})", _words(each.code, each.text)) for each in copy.deliveries]
        for at, event, words in sorted(steps):
            click.echo(f"  {when(at)}  copy  {event:<15}{words}".rstrip())


def _copy(copy: MerchantCopy) -> str:
    outcome = f"{copy.state}/{copy.delivery}" if copy.delivery else copy.state
    return f"{outcome} to {copy.recipient}" + (f": {copy.reason}" if copy.reason else "")


def _words(*words: object) -> str:
    return " ".join(str(word) for word in words if word is not None)
