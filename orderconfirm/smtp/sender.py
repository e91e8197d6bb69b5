"""The sending of a claimed mail: decoding, rendering, and transmission over a pooled connection."""

from __future__ import annotations

from flask import Flask

from orderconfirm.errors import DeliveryFailure
from orderconfirm.mail.shop_renderers import ShopRenderers
from orderconfirm.models import ClaimedMail, RelayReply
from orderconfirm.order.models import Order
from orderconfirm.order.serialization import read_order
from orderconfirm.settings import Relay
from orderconfirm.shops import Shops
from orderconfirm.smtp.message import OrderMessage, custom_variables
from orderconfirm.smtp.pool import ConnectionPool
from orderconfirm.smtp.relay_advice import advise

CATEGORY = "order-confirmation"


class SmtpSender:
    """Sends the dispatcher's mails to the relay."""

    def __init__(
        self, app: Flask, shops: Shops, renderers: ShopRenderers, account: str, relay: Relay, pool: ConnectionPool
    ) -> None:
        """`app` provides the context in which Flask-Mail sends its signal for each mail.

        `pool` connects to `relay`, which is that of the relay account.
        """
        self._app = app
        self._shops = shops
        self._renderers = renderers
        self._account = account
        self._relay = relay
        self._pool = pool

    def prepare(self, mail: ClaimedMail) -> OrderMessage:
        """Return the finished message of a mail.

        Raises TemplateError when the mail cannot be rendered, and UnreadableOrder when the stored order is damaged.
        """
        message = self._message(read_order(mail.payload, mail.accepted_at), mail)
        message.as_bytes()  # built now, so that the relay does not wait for it
        return message

    def send(self, message: OrderMessage, following: OrderMessage | None = None) -> RelayReply:
        """Send one message and return the relay's acceptance. Raises DeliveryFailure when the relay did not accept it.

        The envelope of `following` may be sent together with the end of the message. The same thread must then send or
        abandon it next.
        """
        with self._app.app_context():
            return RelayReply(*self._pool.send(message, following))

    def abandon(self, message: OrderMessage) -> None:
        """Drop a message that was passed as `following`."""
        self._pool.abandon(message)

    def advise(self, failure: DeliveryFailure) -> str:
        """Return what an operator does about a failure that concerns all mails."""
        advice = advise(self._shops[self._account].settings, self._relay, failure)
        return self._shops[self._account].in_its_terms(advice) if self._account else advice

    @property
    def open_connections(self) -> int:
        return self._pool.open_connections

    def close_idle(self, above: int) -> None:
        self._pool.close_idle(above=above)

    def close(self) -> None:
        self._pool.close_idle(older_than=0)

    def abort(self) -> None:
        self._pool.abort()

    def _message(self, order: Order, mail: ClaimedMail) -> OrderMessage:
        settings = self._shops[mail.shop].settings
        email = self._renderers[mail.shop].render(order)
        headers = {
            "Content-Language": email.language,
            "Auto-Submitted": "auto-generated",  # RFC 3834 section 5
            "X-Auto-Response-Suppress": "OOF, AutoReply",  # what Exchange reads instead
        }
        if settings.has_mailtrap_headers:  # read back by web/webhooks/mailtrap.py
            headers["X-MT-Category"] = CATEGORY
            ids = {"order_id": mail.order_id, "shop": mail.shop, "message_id": mail.message_id}
            # mail_id always fits into a line; longer values may be left out.
            headers["X-MT-Custom-Variables"] = custom_variables({**ids, "mail_id": str(mail.id)})
        return OrderMessage(
            email,
            sender=(settings.sender_name, settings.sender_address),
            recipient=(order.customer.name, order.customer.email),
            reply_to=settings.support_address,
            message_id=mail.message_id,
            # The same for each attempt, so that a copy is the same mail.
            date=mail.tried_at or mail.claimed_at,
            headers=headers,
        )
