"""`flask outbox suppressions …`: the addresses to which no mail is sent."""

from __future__ import annotations

import json
import shlex

import click
from flask.cli import AppGroup

from orderconfirm.cli.outbox.group import JSON, open_confirmations, outbox, when

suppressions = AppGroup("suppressions", help="List and release addresses that bounced or reported spam.")
outbox.add_command(suppressions)


@suppressions.command("list")
@click.option("--shop", help="Only this shop's addresses.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="The number of addresses.")
@JSON
def list_addresses(shop: str | None, limit: int, as_json: bool) -> None:
    """List the newest suppressed addresses: time, shop, event, order, and the hash of the address.

    Only the hash is stored. Without --json it shows no personal data.
    """
    with open_confirmations() as confirmations:
        found, more = confirmations.suppressions.page(shop, None, limit)
    if as_json:
        addresses = [
            {
                "shop": each.shop,
                "since": each.since.isoformat(),
                "event": each.event,
                "order_id": each.order_id,
                "email": each.address,
                "hash": each.address_hash,
            }
            for each in found
        ]
        click.echo(json.dumps(addresses, indent=2, ensure_ascii=False))
        return
    for each in found:
        click.echo("  ".join((when(each.since), each.shop, each.event, each.order_id or "-", each.address_hash)))
    if not found:
        click.echo("No address is suppressed.", err=True)
    if more:
        click.echo(f"There are more: these are the newest {limit:,}.", err=True)


@suppressions.command()
@click.argument("address")
@click.option("--shop", help="Release it only for this shop. Default: for all shops.")
def release(address: str, shop: str | None) -> None:
    """Release ADDRESS, an email address or its hash. Its held mails stay held until they are retried."""
    with open_confirmations() as confirmations:
        shops = [shop] if shop else confirmations.shops()
        released = {
            name: held for name in shops if (held := confirmations.suppressions.release(name, address)) is not None
        }
    if not released:
        raise click.ClickException(f"This address is not suppressed{f' for the shop {shop}' if shop else ''}.")
    for name, held in released.items():
        click.echo(f"Released for the shop {name}.")
        if held:
            command = shlex.join(["flask", "outbox", "retry", "--shop", name, *held])
            click.echo(f"Send its held mails with: {command}")
