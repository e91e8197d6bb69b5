"""The relay accounts of a process: that of the settings, and those of the shops with a relay of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import Flask

from orderconfirm.mail.shop_renderers import ShopRenderers
from orderconfirm.outbox.attempts import AttemptRunner
from orderconfirm.outbox.breaker import Breaker
from orderconfirm.outbox.clock import ClockWatch
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.relay_account import RelayAccount
from orderconfirm.outbox.retry import Policy
from orderconfirm.outbox.senders import Senders
from orderconfirm.outbox.throttle import RateLimiter
from orderconfirm.queries import COMMON_ACCOUNT
from orderconfirm.settings import Relay, Settings
from orderconfirm.shops import Shops
from orderconfirm.smtp.pool import ConnectionPool
from orderconfirm.smtp.relay_mail import RelayMail
from orderconfirm.smtp.sender import SmtpSender


@dataclass
class RelayAccounts:
    """Makes what a process needs to send through each account."""

    app: Flask
    shops: Shops
    renderers: ShopRenderers
    database: Database

    def make(self, clock: ClockWatch, inbox: Relay | None) -> list[RelayAccount]:
        """Return the accounts. Without a relay in the settings, all mails go to the local `inbox`."""
        return [self._make(name, clock, inbox) for name in (COMMON_ACCOUNT, *self.shops.own_accounts)]

    def mail_sender(self, account: str = COMMON_ACCOUNT, inbox: Relay | None = None) -> SmtpSender:
        """Return a sender through an account, with connections of its own."""
        settings = self._settings_of(account)
        relay = inbox or cast(Relay, settings.relay)
        ehlo_name = settings.sender_domain
        mail = RelayMail(relay, ehlo_name, settings.mail_timeout)
        pool = ConnectionPool(mail.connect, settings.mail_max_per_connection)
        return SmtpSender(self.app, self.shops, self.renderers, account, relay, pool)

    def _make(self, name: str, clock: ClockWatch, inbox: Relay | None) -> RelayAccount:
        settings = self._settings_of(name)
        relay = inbox or cast(Relay, settings.relay)
        policy = Policy(
            settings.mail_retry_delays,
            settings.mail_give_up_after,
            settings.mail_unknown_outcome_delay,
            settings.holds_unknown,
        )
        mail_sender = self.mail_sender(name, inbox)
        breaker = Breaker(settings.mail_login_pause)
        limiter = RateLimiter(settings.mail_rate_limit)
        return RelayAccount(
            name,
            relay.address,
            settings.mail_max_connections,
            mail_sender,
            AttemptRunner(mail_sender, policy, breaker, limiter, clock, self.database.process_locks),
            breaker,
            limiter,
            Senders(self.database, settings.mail_max_connections, name),
        )

    def _settings_of(self, account: str) -> Settings:
        return self.shops[account].settings if account else self.shops.settings
