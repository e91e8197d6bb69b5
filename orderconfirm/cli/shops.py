"""`flask shops …`: the profiles in SHOPS_DIR."""

from __future__ import annotations

import os

import click
from flask import current_app
from flask.cli import AppGroup

from orderconfirm.cli.check import print_findings
from orderconfirm.shops import ShopProfile, Shops

shops = AppGroup("shops", help="Show the shops' profiles. The service does not start while one is invalid.")


@shops.command("list")
def list_shops() -> None:
    """List each shop: its name, sender, language, currency, and the webhook that its platform posts to."""
    profiles: Shops = current_app.extensions["orderconfirm"].shops
    for profile in profiles.profiles.values():
        click.echo("  ".join(_words(profile)))
    if not profiles.profiles:
        click.echo("There are no profiles: SHOPS_DIR is not set, or empty.", err=True)


@shops.command("check")
def check_shops() -> None:
    """Find problems with the profiles, their templates, and the relays and sender's domains of the shops.

    The exit code is 1 after an error, otherwise 0.
    """
    # Imported here because the service registers this command, and does not need its libraries.
    from orderconfirm.checks.run import SHOPS, run_checks

    print_findings(run_checks(os.environ, subjects=(SHOPS,)))


def _words(profile: ShopProfile) -> tuple[str, ...]:
    settings, webhook = profile.settings, profile.webhook
    mail = (profile.name, settings.company_name, settings.sender_address, settings.default_locale)
    if webhook is None:
        return (*mail, settings.default_currency, "no webhook")
    when = "paid orders" if webhook.only_paid else "new orders"
    path = f"/api/webhooks/orders/{profile.name}"
    return (*mail, settings.default_currency, f"{webhook.format.name}, {when}, at {path}")
