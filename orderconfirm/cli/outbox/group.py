"""The group `flask outbox`, and functions that its commands share: the open outbox, an order's shop, progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import AppGroup

from orderconfirm.confirmations import OrderConfirmations
from orderconfirm.errors import OutboxUnavailable
from orderconfirm.models import DEFAULT_SHOP

if TYPE_CHECKING:
    from orderconfirm.runtime import Runtime

outbox = AppGroup("outbox", help="Follow orders, retry, resend, cancel or erase them, and maintain the outbox.")

#: The option of commands that name an order.
SHOP = click.option("--shop", help="Needed only when several shops have an order with this id.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, including email addresses.")


@contextmanager
def open_confirmations() -> Iterator[OrderConfirmations]:
    runtime: Runtime = current_app.extensions["orderconfirm"]
    try:
        runtime.database.open()
        try:
            yield runtime.confirmations
        finally:
            runtime.database.close()
    except OutboxUnavailable as exc:
        raise click.ClickException(str(exc)) from exc


def shop_of(confirmations: OrderConfirmations, order_id: str, given: str | None) -> str:
    """Return the given shop, else the one that has this order, else the default shop."""
    shops = [given] if given else confirmations.shops(order_id)
    if len(shops) > 1:
        raise click.ClickException(
            f"The shops {', '.join(shops)} each have an order {order_id}: choose one with --shop."
        )
    return shops[0] if shops else DEFAULT_SHOP


def unknown(order_id: str, shop: str | None) -> click.ClickException:
    return click.ClickException(f"No order {order_id} was accepted{f' for the shop {shop}' if shop else ''}.")


def run_batches(label: str, batches: Iterable[int]) -> int:
    """Carry out all batches and return the sum of their numbers. Shows progress on a terminal.

    Ctrl-C ends it after a batch; completed batches are kept.
    """
    total = 0
    try:
        with click.progressbar(
            batches,
            label=label,
            item_show_func=lambda _: f"{total:,}",
            file=sys.stderr,
            hidden=not sys.stderr.isatty(),
        ) as bar:
            for count in bar:
                total += count
    except KeyboardInterrupt:
        click.echo(f"\nInterrupted after {total:,}: repeat the command for the remaining ones.", err=True)
        raise SystemExit(130) from None
    return total


def to_json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def when(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z"
