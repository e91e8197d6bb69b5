"""The parts of a process that run, started and stopped in order."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from flask import Flask
from sqlalchemy.engine import make_url

from orderconfirm import tracing
from orderconfirm.callbacks.sender import CallbackSender
from orderconfirm.confirmations import OrderConfirmations
from orderconfirm.errors import OutboxUnavailable
from orderconfirm.mail.shop_renderers import ShopRenderers
from orderconfirm.metrics.collection import collect
from orderconfirm.metrics.emf import EmfPublisher
from orderconfirm.metrics.table import Samples
from orderconfirm.outbox.callback_admin import read_oldest_due
from orderconfirm.outbox.clock import ClockWatch
from orderconfirm.outbox.database import Database
from orderconfirm.outbox.dispatcher import Dispatcher, Limits
from orderconfirm.outbox.lock_holders import name_lock_holder
from orderconfirm.outbox.maintenance import Maintenance
from orderconfirm.outbox.queue import OutboxQueue
from orderconfirm.outbox.retention import Retention
from orderconfirm.outbox.senders import read_senders
from orderconfirm.outbox.stats import read_stats
from orderconfirm.outbox.time_limit import TimeLimited
from orderconfirm.outbox.transfer import Progress, transfer
from orderconfirm.outbox.webhook_log import WebhookLog
from orderconfirm.queries import HealthStatus
from orderconfirm.relay_accounts import RelayAccounts
from orderconfirm.settings import ROOT, Relay, Settings
from orderconfirm.shop_webhooks import ShopWebhooks
from orderconfirm.shops import Shops
from orderconfirm.smtp.local_inbox import Inbox
from orderconfirm.version import VERSION
from orderconfirm.webhook_silence import SilenceWatch

if TYPE_CHECKING:
    from orderconfirm.smtp.inbox_server import InboxServer

log = logging.getLogger(__name__)

#: Seconds between two attempts to open the outbox.
REOPEN_INTERVAL = 3.0
#: Seconds that a health check waits for the database.
HEALTH_TIMEOUT = 2.0


class Sender(Protocol):
    """The interface to what sends the mails: a dispatcher in this process, in another one, or on other machines."""

    @property
    def seconds_since_last_round(self) -> float:
        """Seconds since the dispatcher's last completed round."""

    def wake(self) -> None:
        """Look for due mails now."""


class ElsewhereSender:
    """The senders of other machines. The order's transaction has woken them already (see OutboxQueue)."""

    #: Readiness does not depend on them: orders wait safely in the outbox.
    seconds_since_last_round = 0.0

    def wake(self) -> None:
        pass


@dataclass
class Runtime:
    """The wired parts of a process. The constructor opens nothing; they run from `start` to `stop`."""

    app: Flask
    settings: Settings

    def __post_init__(self) -> None:
        """Wire the parts and compile the mail's templates. Raises TemplateError, and SettingsError for a profile."""
        self.shops = Shops(self.settings)
        self.renderers = ShopRenderers(self.settings, self.shops)
        settings = self.settings
        self.database = Database(
            settings.database_url, settings.database_password_file, auto_migrate=settings.auto_migrate
        )
        self._queue = OutboxQueue(
            self.database,
            settings.outbox_max_pending,
            wakes_others=settings.sender_role == "off",
            account_of=self.shops.account_of,
            has_callback=self.shops.has_callback,
        )
        self.relay_accounts = RelayAccounts(self.app, self.shops, self.renderers, self.database)
        self.inbox = Inbox(_inbox_folder(self.settings.database_url)) if self.settings.has_local_inbox else None
        self._inbox_server = _server_of(self.inbox) if self.inbox else None
        self._dispatcher: Dispatcher | None = None
        self._callback_sender: CallbackSender | None = None
        #: The dispatcher's interface; None until the outbox is open.
        self.sender: Sender | None = None
        self._opening: threading.Thread | None = None
        self._stopping = threading.Event()
        self._drain: threading.Thread | None = None
        self._emf_publisher: EmfPublisher | None = None
        #: Return the state of this process and of the outbox. Raise OutboxUnavailable when it cannot be read, or after
        #: HEALTH_TIMEOUT; `readiness` also when the database accepts no write.
        self.health = TimeLimited(self._health, HEALTH_TIMEOUT)
        self.readiness = name_lock_holder(self.database, self._readiness, HEALTH_TIMEOUT)
        self.confirmations = OrderConfirmations(
            self.database, self._queue, self.renderers, self.shops, self.wake, self._stopping.is_set
        )
        webhook_log = WebhookLog(self.database)
        self.shop_webhooks = ShopWebhooks(self.confirmations, webhook_log, self.shops)
        self._silence = SilenceWatch(webhook_log, self.shops)
        self._silences = TimeLimited(self._silence.read, HEALTH_TIMEOUT)

    def start(self, keeps_trying: bool = False, remote_sender: Sender | None = None) -> None:
        """Open the outbox and start to send its mails, unless `remote_sender` or other machines do.

        Call it after the fork.

        Raises OutboxUnavailable when the outbox cannot be opened. With `keeps_trying`, it is opened later instead, and
        until then every use of it raises OutboxUnavailable.
        """
        self._stopping.clear()
        self.sender = ElsewhereSender() if self.settings.sender_role == "off" else remote_sender
        try:
            self._open(must_exist=keeps_trying)
        except OutboxUnavailable as exc:
            if not keeps_trying:
                raise
            log.error("the outbox cannot be opened; trying again", extra={"reason": str(exc)})
            self._opening = threading.Thread(target=self._keep_opening, name="opening")
            self._opening.start()
        if self.settings.otel_endpoint:
            tracing.start(self.settings.otel_endpoint, VERSION)
        if self.settings.metrics_emf:
            namespace, environment = self.settings.metrics_emf_namespace, self.settings.environment
            self._emf_publisher = EmfPublisher(self.metrics, namespace, environment)
            self._emf_publisher.start()

    def begin_stop(self) -> None:
        """Stop claiming mails and finish those in flight, while requests are still handled.

        Returns at once, so that a signal handler may call it.
        """
        if self._drain is None:
            self._drain = threading.Thread(target=self._stop_sending, name="drain")
            self._drain.start()

    def stop(self) -> None:
        """Finish the mails in flight, then close everything. Unsent mails wait for the next start."""
        self.begin_stop()
        if self._drain:
            self._drain.join()
        if self._emf_publisher:  # while the outbox can still be read: a stop is no outage
            self._emf_publisher.stop()
            self._emf_publisher = None
        self._drain = self._dispatcher = self._callback_sender = self.sender = None
        if self._inbox_server:
            self._inbox_server.stop()
        tracing.stop()
        self.database.close()

    @property
    def dead_threads(self) -> list[str]:
        """The names of the threads that have ended by themselves. A new process must take this one's place."""
        parts = {
            "outbox-writer": self.database,
            "dispatcher": self._dispatcher,
            "callbacks": self._callback_sender,
        }
        return [name for name, part in parts.items() if part and part.has_died]

    @property
    def problem(self) -> str | None:
        """Why orders are refused, or mails not sent although the relay may be in use; None if neither is known."""
        try:
            return self.readiness().problem
        except OutboxUnavailable as exc:
            return str(exc)

    def metrics(self) -> Samples:
        """Return every metric, without those of the database when it cannot be read."""
        status: HealthStatus | None = None
        silences: dict[str, float] = {}
        with suppress(OutboxUnavailable):
            status = self.health()
            silences = self._silences()
        idle_seconds = self.sender.seconds_since_last_round if self.sender else None
        return collect(status, idle_seconds, self.settings.build_revision, silences)

    def _readiness(self) -> HealthStatus:
        status = self._health()
        self.database.check_writable()
        return status

    def _health(self) -> HealthStatus:
        if self.sender is None or not self.database.is_open:
            raise OutboxUnavailable("the outbox is not open")
        self.database.check_files()
        return HealthStatus(
            read_stats(self.database),
            self._queue.max_pending,
            self._queue.refusal,
            self.sender.seconds_since_last_round,
            *read_senders(self.database),
            read_oldest_due(self.database) if self.shops.callback_urls() else 0.0,
        )

    def copy_to(self, target_url: str, progress: Progress) -> dict[str, int]:
        """Copy the outbox to another database, while no service uses either (see `transfer`)."""
        return transfer(self.settings.database_url, target_url, progress, self.settings.database_password_file)

    def _open(self, must_exist: bool) -> None:
        self.database.open(must_exist)
        if self.sender is not None:
            return
        if self._inbox_server:
            self._inbox_server.start()
        self.sender = self._dispatcher = self._make_dispatcher()
        self._dispatcher.start()
        self._callback_sender = CallbackSender(self.database, self.shops)
        self._callback_sender.start()

    def _keep_opening(self) -> None:
        while not self._stopping.wait(REOPEN_INTERVAL):
            with suppress(OutboxUnavailable):
                self._open(must_exist=True)
                log.warning("the outbox is open")
                return

    def _stop_sending(self) -> None:
        self._stopping.set()
        if self._opening:
            self._opening.join()
            self._opening = None
        stop_by = time.monotonic() + self.settings.drain_seconds
        if self._callback_sender:
            self._callback_sender.begin_stop()
        if self._dispatcher:
            self._dispatcher.stop()
        if self._callback_sender:
            self._callback_sender.stop(stop_by - time.monotonic())

    def wake(self) -> None:
        """Look for due mails now."""
        if self.sender:
            self.sender.wake()

    def _make_dispatcher(self) -> Dispatcher:
        settings = self.settings
        clock = ClockWatch(self.database, settings.lease_seconds)
        inbox = Relay("127.0.0.1", self._inbox_server.port, "none") if self._inbox_server else None
        accounts = self.relay_accounts.make(clock, inbox)
        return Dispatcher(
            self._queue,
            accounts,
            self.shops.account_of,
            Maintenance(
                self.database,
                self._queue,
                Retention(self.database),
                clock,
                accounts,
                settings.retention_days * 86400,
                settings.holds_unknown,
                self._silence.run,
            ),
            self.database.process_locks,
            Limits(settings.lease_seconds, settings.max_send_seconds, settings.drain_seconds),
        )


def _server_of(inbox: Inbox) -> InboxServer:
    from orderconfirm.smtp.inbox_server import InboxServer

    return InboxServer(inbox)


def _inbox_folder(database_url: str) -> Path:
    """Return the inbox's folder: next to the SQLite file, or in the project's var folder.

    In a container whose root is read-only, it is in the folder of temporary files.
    """
    if database_url.startswith("sqlite") and (database := make_url(database_url).database):
        return Path(database).parent / "inbox"
    if os.access(ROOT, os.W_OK):
        return ROOT / "var" / "inbox"
    return Path(tempfile.gettempdir()) / "orderconfirm-inbox"
