"""One claimed mail on its way: read the order, compose the message, send it over a kept connection."""

from __future__ import annotations

from flask import Flask

from orderconfirm.errors import UnreadableOrder
from orderconfirm.mail.renderer import MailRenderer
from orderconfirm.models import ClaimedMail, RelayReply
from orderconfirm.order.models import Order
from orderconfirm.order.serialization import decode_payload, to_order
from orderconfirm.settings import Settings
from orderconfirm.smtp.message import OrderMessage, custom_variables
from orderconfirm.smtp.pool import ConnectionPool

CATEGORY = "order-confirmation"


class SmtpSender:
    """The dispatcher's way to the relay."""

    def __init__(self, app: Flask, settings: Settings, renderer: MailRenderer, pool: ConnectionPool) -> None:
        """`app` is pushed around each send: Flask-Mail announces every mail on its signal."""
        self._app = app
        self._settings = settings
        self._renderer = renderer
        self._pool = pool

    def deliver(self, mail: ClaimedMail) -> RelayReply:
        """Send one mail; returns the relay's acceptance.

        Raises a DeliveryFailure when the relay did not take it, TemplateError when it cannot be made, and
        UnreadableOrder when the stored order is damaged.
        """
        message = self._message(_read_order(mail), mail)
        with self._app.app_context():
            return RelayReply(*self._pool.send(message))

    def close_idle(self) -> None:
        self._pool.close_idle()

    def close(self) -> None:
        self._pool.close_idle(older_than=0)

    def abort(self) -> None:
        self._pool.abort()

    def _message(self, order: Order, mail: ClaimedMail) -> OrderMessage:
        settings = self._settings
        headers = {"Auto-Submitted": "auto-generated"}  # RFC 3834 section 5
        if settings.mailtrap_headers:
            headers["X-MT-Category"] = CATEGORY
            named = {"order_id": mail.order_id, "shop": mail.shop, "message_id": mail.message_id}
            # The number fits into its line, however long the other names are.
            headers["X-MT-Custom-Variables"] = custom_variables({**named, "mail_id": str(mail.id)})
        return OrderMessage(
            self._renderer.render(order),
            sender=(settings.sender_name, settings.sender_address),
            recipient=(order.customer.name, order.customer.email),
            reply_to=settings.support_address,
            message_id=mail.message_id,
            date=mail.accepted_at,
            headers=headers,
        )


def _read_order(mail: ClaimedMail) -> Order:
    try:
        request, defaults = decode_payload(mail.payload)
        return to_order(request, defaults, mail.accepted_at)
    except (KeyError, TypeError, ValueError, ArithmeticError) as exc:
        reason = f"the stored order cannot be read: {type(exc).__name__}: {exc}"
        raise UnreadableOrder(reason) from exc
