"""CPU time to render and build a mail, compared with a straightforward implementation (`make bench-mail`).

The straightforward implementation renders the same templates, inlines the style rules for each mail, and builds the
message with `email.message.EmailMessage`. Both are measured alternately in one run. The minimum of several rounds
counts, because other load only adds time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP
from functools import partial

from orderconfirm.mail.renderer import MailRenderer
from orderconfirm.models import Email
from orderconfirm.order.models import Order
from orderconfirm.order.samples import FULL, LONG, TWO_LINES
from orderconfirm.server.memory import freeze_gc
from orderconfirm.settings import ROOT, Settings
from orderconfirm.smtp.message import OrderMessage

ROUNDS, MAILS = 40, 25


def our_message(email: Email, order: Order) -> bytes:
    return OrderMessage(
        email,
        sender=("Acme, Inc.", "orders@acme.example"),
        recipient=(order.customer.name, order.customer.email),
        reply_to="help@acme.example",
        message_id="<0123456789abcdef@acme.example>",
        date=order.order_date,
        headers={"Auto-Submitted": "auto-generated"},
    ).as_bytes()


def plain_message(email: Email, order: Order) -> bytes:
    message = EmailMessage(policy=SMTP)
    message["From"] = '"Acme, Inc." <orders@acme.example>'
    message["To"] = order.customer.email
    message["Subject"] = email.subject
    message["Message-ID"] = "<0123456789abcdef@acme.example>"
    message.set_content(email.text, cte="quoted-printable")
    message.add_alternative(email.html, subtype="html", cte="quoted-printable")
    return message.as_bytes()


def least(*calls: Callable[[], object]) -> list[float]:
    """Return the microseconds of CPU time of each call, in the fastest of the rounds that they take in turns."""
    return [min(times) * 1e6 for times in zip(*([_time(call) for call in calls] for _ in range(ROUNDS)), strict=True)]


def _time(call: Callable[[], object]) -> float:
    began = time.process_time()
    for _ in range(MAILS):
        call()
    return (time.process_time() - began) / MAILS


def main() -> None:
    ours, plain = (MailRenderer(Settings(environment="production"), [ROOT / "templates"]) for _ in range(2))
    # The style rules are inlined again for each mail, in the templates of every language.
    plain._templates._inlined_source = plain._templates._inlined_template = None
    plain._translated.clear()
    freeze_gc()  # as in the service
    print(f"{'':12}{'render':>10}{'build':>10}{'total':>10}{'simple':>11}{'ratio':>7}{'HTML':>9}")
    for name, order in (("2 lines", TWO_LINES), ("full", FULL), ("200 lines", LONG)):
        email = ours.render(order)
        render, build, slow = least(
            partial(ours.render, order),
            partial(our_message, email, order),
            lambda order=order: plain_message(plain.render(order), order),  # type: ignore[misc]
        )
        size = len(email.html.encode())
        print(
            f"{name:12}{render:>7.0f} us{build:>7.0f} us{render + build:>7.0f} us"
            f"{slow:>8.0f} us{slow / (render + build):>6.1f}x{size:>7} B"
        )


if __name__ == "__main__":
    main()
