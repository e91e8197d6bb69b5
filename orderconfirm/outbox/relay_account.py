"""What a process has of one relay account: its part of the limits, its breaker, its threads and its connections."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from orderconfirm.models import ClaimedMail
from orderconfirm.outbox.attempts import AttemptRunner, MailSender
from orderconfirm.outbox.breaker import Breaker, Pause
from orderconfirm.outbox.leases import FinishedAttempt
from orderconfirm.outbox.sender_threads import SenderThreads
from orderconfirm.outbox.senders import Senders, Share
from orderconfirm.outbox.throttle import RateLimiter

log = logging.getLogger(__name__)

#: Mails leased for each connection: one is being sent, the envelope of the next has been sent, and two bridge the time
#: until the next claim.
MAILS_PER_CONNECTION = 4


@dataclass
class RelayAccount:
    """A relay account, used by the dispatcher's thread. `relay` is its host and port.

    `max_connections` is how many connections all processes together may have open. Times are seconds of a monotonic
    clock.
    """

    name: str
    relay: str
    max_connections: int
    mail_sender: MailSender
    runner: AttemptRunner
    breaker: Breaker
    limiter: RateLimiter
    senders: Senders
    _share: Share = field(default_factory=Share, init=False)

    def start(self, on_settled: Callable[[FinishedAttempt], None]) -> None:
        """Make the threads. `on_settled` is called, in any of them, with each finished attempt."""
        self._threads = SenderThreads(self.max_connections, self.runner, on_settled)

    def begin_stop(self) -> None:
        """Begin no further mails."""
        self._threads.stop()

    def leave(self) -> None:
        """Close the connections, and leave this process's part to the others. Raises OutboxUnavailable."""
        self.mail_sender.close()
        self.senders.leave()

    @property
    def pause(self) -> Pause | None:
        """Why no mails are sent; None while they are."""
        return self.breaker.pause

    @property
    def open_connections(self) -> int:
        return self.mail_sender.open_connections

    def close_idle(self) -> None:
        """Close the connections that have been idle for a while, or are above this process's part."""
        self.mail_sender.close_idle(self._share.connections)

    def take_share(self, now: float) -> None:
        """Keep to this process's part of the account's limits. Raises OutboxUnavailable."""
        share = self.senders.share(self.open_connections, self.pause, now)
        if share != self._share:
            self.keep_to(share, now)

    def keep_to(self, share: Share, now: float) -> None:
        """Open no more connections than `share` allows, and close idle ones above it."""
        self._share = share
        self._threads.limit = share.connections
        self.limiter.set_share(share.connections, self.max_connections, not share.others, now)
        self.breaker.set_senders(share.others + 1)
        self.close_idle()
        connections = {"connections": share.connections, "other_senders": share.others}
        log.info("connections to the relay", extra={"relay": self.relay, **connections})

    def allowance(self, now: float) -> int:
        """Return how many mails may be claimed."""
        busy = self._threads.busy
        room = self._share.connections * MAILS_PER_CONNECTION - busy
        return self.limiter.allowance(self.breaker.allowance(room, busy, now), busy, now)

    def put(self, mails: Sequence[ClaimedMail], send_by: float) -> None:
        """Send claimed mails. One that is not begun by `send_by` is released."""
        for _ in mails:
            self.limiter.started()
        self._threads.put(mails, send_by)

    def give_back(self) -> list[ClaimedMail]:
        """Remove and return the mails that no thread has begun to send."""
        return self._threads.give_back()

    def seconds_to_more(self, claimed: int, allowed: int, now: float) -> float | None:
        """Return the seconds until more mails may be claimed, after `claimed` of `allowed` were; None for at once.

        When all connections are busy, that is infinite: the next finished mail wakes the dispatcher.
        """
        probe_wait = self.breaker.seconds_left(now)
        if probe_wait is not None:
            return max(0.05, probe_wait)
        if claimed == allowed:
            return self.limiter.seconds_left(now) or float("inf")
        return None
