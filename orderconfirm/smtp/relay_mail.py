"""Flask-Mail bound to one relay: its `Connection` opens and closes our SMTP session."""

from __future__ import annotations

import ssl
from functools import lru_cache

from flask_mail import Connection, Mail

from orderconfirm.settings import Relay
from orderconfirm.smtp.connection import RelaySMTP


class RelayConnection(Connection):
    """Flask-Mail's connection around a RelaySMTP session."""

    mail: RelayMail
    host: RelaySMTP

    def __init__(self, mail: RelayMail) -> None:
        super().__init__(mail)
        self.host = RelaySMTP(mail.relay, mail.ehlo_name, mail.reply_timeout, mail.trust)

    def configure_host(self) -> RelaySMTP:
        self.host.open()
        return self.host

    def __exit__(self, *failure: object) -> None:
        self.host.begin_quit()
        self.host.close()


class RelayMail(Mail):
    """Flask-Mail bound to one relay. `ehlo_name` is the name sent with EHLO; `reply_timeout` is in seconds."""

    # Flask-Mail would read these from the app's config. Mails are always sent, passwords are never logged, and the pool
    # decides when to reconnect: after a failed reconnect, Flask-Mail's `send` would report a sent mail as failed.
    suppress = False
    debug = 0
    max_emails = None

    def __init__(self, relay: Relay, ehlo_name: str, reply_timeout: float) -> None:
        super().__init__()
        self.relay = relay
        self.ehlo_name = ehlo_name
        self.reply_timeout = reply_timeout
        self.trust = _trust_store(relay.ca_file)

    def connect(self) -> RelayConnection:
        """Return a connection that `__enter__` opens."""
        return RelayConnection(self)


@lru_cache(maxsize=16)
def _trust_store(ca_file: str | None) -> ssl.SSLContext:
    """Return a context that trusts the authorities in `ca_file`, by default the system's.

    Loading the system's takes 50 ms, so the relays of all shops share them.
    """
    return ssl.create_default_context(cafile=ca_file)
