"""`flask hooks …`: the webhooks of shop platforms that led to no mail."""

from __future__ import annotations

from dataclasses import asdict

import click
from flask import current_app
from flask.cli import AppGroup

from orderconfirm.cli.outbox.group import JSON, open_confirmations, to_json, when
from orderconfirm.platforms import Outcome
from orderconfirm.queries import KeptWebhook
from orderconfirm.shop_webhooks import KEPT, ShopWebhooks

hooks = AppGroup("hooks", help="List the webhooks that led to no mail, and process them again.")

NUMBER = click.argument("number", type=click.IntRange(1, 2**63 - 1))  # what the databases can store


@hooks.command("list")
@click.option("--shop", help="Only this shop's webhooks.")
@click.option(
    "--outcome", multiple=True, type=click.Choice(sorted(map(str, KEPT))), help="Only those with this outcome."
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="The number of webhooks.")
@JSON
def list_webhooks(shop: str | None, outcome: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List the newest webhooks that led to no mail: number, time, shop, platform, outcome, order, reason."""
    with open_confirmations():
        found = _webhooks().kept.newest(shop, outcome, limit)
    if as_json:
        rows = [{**asdict(each), "received_at": each.received_at.isoformat()} for each in found]
        click.echo(to_json(rows))
        return
    for each in found:
        words = (str(each.number), when(each.received_at), each.shop, each.platform, each.outcome, each.order_id or "-")
        click.echo("  ".join((*words, each.reason)))
    if not found:
        click.echo("There are no such webhooks.", err=True)


@hooks.command()
@NUMBER
def show(number: int) -> None:
    """Show webhook NUMBER with its body, which contains personal data."""
    with open_confirmations():
        found = _find(number)
    for name in ("shop", "platform", "topic", "outcome", "order_id", "reason"):
        click.echo(f"{name}: {getattr(found, name) or '-'}")
    click.echo(f"received: {when(found.received_at)}\n\n{found.body}")


@hooks.command()
@NUMBER
def replay(number: int) -> None:
    """Process webhook NUMBER again, for example after correcting the shop's profile."""
    with open_confirmations():
        receipt = _webhooks().replay(_find(number))
    click.echo(f"{receipt.outcome}{f': {receipt.reason}' if receipt.reason else ''}")
    if receipt.outcome is Outcome.REFUSED:
        raise SystemExit(1)


def _webhooks() -> ShopWebhooks:
    webhooks: ShopWebhooks = current_app.extensions["orderconfirm"].shop_webhooks
    return webhooks


def _find(number: int) -> KeptWebhook:
    found = _webhooks().kept.find(number)
    if found is None:
        raise click.ClickException(f"There is no webhook {number}: flask hooks list shows those that are kept.")
    return found
