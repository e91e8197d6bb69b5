"""`flask mail …`: see a mail before a customer does, and try the relay."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import click
from flask import current_app
from flask.cli import AppGroup
from werkzeug.exceptions import BadRequest

from orderconfirm.errors import DeliveryFailure, InvalidOrder, TemplateError
from orderconfirm.order.schemas import DefaultCurrency, OrderSchema, load_order
from orderconfirm.settings import ROOT
from orderconfirm.web.request_parsing import decode

mail = AppGroup("mail", help="See the mail of an order; send one to yourself.")

_SAMPLE = ROOT / "examples" / "order.json"


@mail.command()
@click.argument("order", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=_SAMPLE)
@click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("preview"))
def preview(order: Path, folder: Path) -> None:
    """Write the mail that ORDER (a JSON file, as the API takes it) would become: subject, HTML and text.

    Without ORDER it is the sample order.
    """
    said = _read(order)
    try:
        email = current_app.extensions["orderconfirm"].confirmations.preview(said).email
    except TemplateError as failure:
        raise click.ClickException(str(failure)) from failure
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("subject.txt", f"{email.subject}\n"), ("mail.html", email.html), ("mail.txt", email.text)):
            (folder / name).write_text(text, encoding="utf-8")
            click.echo(f"{folder / name}  {len(text.encode())} bytes")
    except OSError as failure:
        raise click.ClickException(f"nothing can be written there ({failure}): name a folder with --to") from failure


@mail.command("send-test")
@click.argument("recipient")
@click.option("--order", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=_SAMPLE)
def send_test(recipient: str, order: Path) -> None:
    """Send the sample order (or --order) to RECIPIENT now, past the outbox, and tell what the relay says."""
    service = current_app.extensions["orderconfirm"]
    relay = service.settings.relay
    if relay is None:
        raise click.ClickException("No relay is configured: set MAILTRAP_API_TOKEN or MAIL_SERVER, and EMAIL_SENDER.")
    said = _read(order, {"order_id": f"TEST-{uuid4().hex[:8]}", "email": recipient})
    mail_sender = service.make_mail_sender(relay)
    try:
        delivered = mail_sender.deliver(service.confirmations.draft(said))
    except (DeliveryFailure, TemplateError) as failure:
        raise click.ClickException(f"not sent: {failure}") from failure
    finally:
        mail_sender.close()
    click.echo(f"{relay.host} took it: {delivered.code} {delivered.text}")


def _read(path: Path, changes: dict[str, str] | None = None) -> dict[str, Any]:
    try:
        body = decode(path.read_bytes())
    except BadRequest as exc:
        raise click.ClickException(f"{path}: {exc.description}") from exc
    if changes and isinstance(body, dict):
        body["order_id"] = changes["order_id"]
        customer = body.get("customer")
        body["customer"] = {**(customer if isinstance(customer, dict) else {}), "email": changes["email"]}
    try:
        with DefaultCurrency(current_app.extensions["orderconfirm"].settings.default_currency):
            said, _ = load_order(OrderSchema(), body)
    except InvalidOrder as exc:
        errors = "\n".join(f"  {fault.pointer}: {fault.detail}" for fault in exc.errors)
        raise click.ClickException(f"{path} is not a valid order:\n{errors}") from exc
    return said
