"""`flask outbox callback`: what became of the events that are posted to the shops, and their replay."""

from __future__ import annotations

import click
from flask import current_app

from orderconfirm import representation
from orderconfirm.cli.outbox.group import JSON, open_confirmations, outbox, run_batches, shop_of, to_json, when
from orderconfirm.confirmations import OrderConfirmations
from orderconfirm.queries import Callback, CallbackState
from orderconfirm.shops import Shops


@outbox.command()
@click.argument("order_ids", nargs=-1)
@click.option("--replay", is_flag=True, help="Post again what was not delivered, now and with all attempts.")
@click.option("--all", "all_callbacks", is_flag=True, help="With --replay: all that failed or whose endpoint is gone.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in CallbackState]),
    help="List those in this state. May be given several times. Default: failed and gone.",
)
@click.option("--shop", help="Only this shop's. With order ids: needed when several shops have an order with this id.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="The number to list.")
@JSON
def callback(
    order_ids: tuple[str, ...],
    replay: bool,
    all_callbacks: bool,
    states: tuple[str, ...],
    shop: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List the events posted to the shops: those of some orders, or the last that could not be delivered."""
    if all_callbacks and not replay:
        raise click.UsageError("--all belongs to --replay.")
    if replay and all_callbacks == bool(order_ids):
        raise click.UsageError("Give order ids, or --all.")
    if replay and (states or as_json):
        raise click.UsageError("--state and --json belong to lists.")
    if order_ids and states:
        raise click.UsageError("--state belongs to lists without order ids.")
    with open_confirmations() as confirmations:
        if replay:
            count = _replay(confirmations, order_ids, shop)
            click.echo(f"{'1 callback is' if count == 1 else f'{count:,} callbacks are'} due now.")
            return
        if order_ids:
            of_orders = ((shop_of(confirmations, each, shop), each) for each in order_ids)
            found = [each for order in of_orders for each in confirmations.callbacks.of_order(*order)]
        else:
            found = confirmations.callbacks.newest(shop, list(map(CallbackState, states)), limit)
    if as_json:
        rows = [{"shop": each.shop, "order_id": each.order_id, **representation.callback(each)} for each in found]
        click.echo(to_json(rows))
        return
    for each in found:
        click.echo("  ".join((when(each.at), each.shop, each.order_id, each.event, _words(each))))
    if not found:
        click.echo("No callbacks.", err=True)


def _replay(confirmations: OrderConfirmations, order_ids: tuple[str, ...], shop: str | None) -> int:
    shops: Shops = current_app.extensions["orderconfirm"].shops
    callbacks = confirmations.callbacks
    if not order_ids:
        return run_batches("Replaying", callbacks.replay_all(shop, shops.callback_urls(shop)))
    of_orders = [(shop_of(confirmations, each, shop), each) for each in order_ids]
    return sum(callbacks.replay_order(name, each, shops.callback_urls(name)) for name, each in of_orders)


def _words(callback: Callback) -> str:
    attempts = f"{callback.attempts} attempt{'' if callback.attempts == 1 else 's'}"
    tries = f"after {attempts}" if callback.attempts else ""
    due = f"due {when(callback.due_at)}" if callback.due_at else ""
    return " ".join(filter(None, (callback.state, tries, due, callback.reason)))
