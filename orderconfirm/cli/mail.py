"""`flask mail …`: preview a mail, and send one to yourself."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import click
from flask import current_app
from flask.cli import AppGroup

from orderconfirm.errors import DeliveryFailure, InvalidOrder, TemplateError
from orderconfirm.models import DEFAULT_SHOP
from orderconfirm.order.json_body import InvalidJson, parse_json
from orderconfirm.order.schemas import DefaultCurrency, OrderSchema, load_order
from orderconfirm.settings import ROOT

mail = AppGroup("mail", help="Preview the mail of an order; send one to yourself.")

_SAMPLE = ROOT / "examples" / "order.json"


@mail.command()
@click.argument("order", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=_SAMPLE)
@click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("preview"))
def preview(order: Path, folder: Path) -> None:
    """Render the mail of ORDER, a JSON file in the API's format, and write its subject, HTML and text to files.

    The default is the sample order.
    """
    body = _read(order)
    try:
        email = current_app.extensions["orderconfirm"].confirmations.preview(DEFAULT_SHOP, body).email
    except TemplateError as exc:
        raise click.ClickException(str(exc)) from exc
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("subject.txt", f"{email.subject}\n"), ("mail.html", email.html), ("mail.txt", email.text)):
            (folder / name).write_text(text, encoding="utf-8")
            click.echo(f"{folder / name}  {len(text.encode())} bytes")
    except OSError as exc:
        raise click.ClickException(f"cannot write there ({exc}): choose another folder with --to") from exc


@mail.command("send-test")
@click.argument("recipient")
@click.option("--order", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=_SAMPLE)
def send_test(recipient: str, order: Path) -> None:
    """Send the sample order, or --order, to RECIPIENT now, without the outbox, and print the relay's reply."""
    runtime = current_app.extensions["orderconfirm"]
    relay = runtime.settings.relay
    if relay is None:
        raise click.ClickException("No relay is configured: set MAILTRAP_API_TOKEN or MAIL_SERVER, and EMAIL_SENDER.")
    body = _read(order, {"order_id": f"TEST-{uuid4().hex[:8]}", "email": recipient})
    mail_sender = runtime.relay_accounts.mail_sender()
    try:
        reply = mail_sender.send(mail_sender.prepare(runtime.confirmations.draft(body)))
    except (DeliveryFailure, TemplateError) as exc:
        raise click.ClickException(f"not sent: {exc}") from exc
    finally:
        mail_sender.close()
    click.echo(f"{relay.host} accepted it: {reply.code} {reply.text}")


def _read(path: Path, changes: dict[str, str] | None = None) -> dict[str, Any]:
    try:
        body = parse_json(path.read_bytes())
    except InvalidJson as exc:
        raise click.ClickException(f"{path}: {exc}") from exc
    if changes and isinstance(body, dict):
        body["order_id"] = changes["order_id"]
        customer = body.get("customer")
        body["customer"] = {**(customer if isinstance(customer, dict) else {}), "email": changes["email"]}
    try:
        with DefaultCurrency(current_app.extensions["orderconfirm"].settings.default_currency):
            order, _ = load_order(OrderSchema(), body)
    except InvalidOrder as exc:
        errors = "\n".join(f"  {error.pointer}: {error.detail}" for error in exc.errors)
        raise click.ClickException(f"{path} is not a valid order:\n{errors}") from exc
    return order
