"""The threads that send leased mails, and the mails that wait for a thread.

While the relay's reply to one mail is on its way, a thread prepares the next one, so that its envelope is sent together
with the end of the first (RFC 2920).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from orderconfirm.models import ClaimedMail
from orderconfirm.outbox.attempts import Attempt, AttemptRunner
from orderconfirm.outbox.leases import FinishedAttempt
from orderconfirm.outbox.retry import RELEASED


class SenderThreads:
    """Up to `count` threads, of which `limit` send at once. They start with the first mails and end at `stop`."""

    def __init__(self, count: int, runner: AttemptRunner, on_settled: Callable[[FinishedAttempt], None]) -> None:
        """`on_settled` is called, in any thread, with each finished attempt."""
        self._count = count
        self._runner = runner
        self._on_settled = on_settled
        self._threads: list[threading.Thread] = []
        #: Each mail with the monotonic time until which its send may begin.
        self._waiting: deque[tuple[ClaimedMail, float]] = deque()
        self._changed = threading.Condition()
        self._idle = 0
        self._busy = 0
        #: Threads that use a connection, or are about to.
        self._sending = 0
        self._limit = count
        self._is_stopping = False

    @property
    def busy(self) -> int:
        """Mails that are waiting or being sent."""
        with self._changed:
            return self._busy + len(self._waiting)

    @property
    def limit(self) -> int:
        """How many threads may send at once. If it is lowered, threads first finish the mails that they have begun."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        with self._changed:
            self._limit = limit
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """Mails that no thread has begun to send."""
        return len(self._waiting)

    def put(self, mails: Iterable[ClaimedMail], send_by: float) -> None:
        """Send mails. A mail not begun by `send_by` is not sent, because the send could outlast the lease."""
        with self._changed:
            self._waiting.extend((mail, send_by) for mail in mails)
            missing = min(len(self._waiting) - self._idle, self._count - len(self._threads))
            started = [threading.Thread(target=self._run, name="sender", daemon=True) for _ in range(missing)]
            self._threads += started
            self._changed.notify(len(self._waiting))
        for thread in started:
            thread.start()

    def give_back(self) -> list[ClaimedMail]:
        """Remove and return the mails that no thread has begun to send."""
        with self._changed:
            mails = [mail for mail, _ in self._waiting]
            self._waiting.clear()
            return mails

    def stop(self) -> None:
        """Begin no further mails. Each thread ends with the mail that it is sending."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()

    def _run(self) -> None:
        attempt: Attempt | None = None
        while attempt or (attempt := self._begin_next(waits=True)):
            following = self._begin_next(waits=False)
            finished = self._runner.send(attempt, following)
            if self._runner.must_give_back():
                # Before this thread, or another one, begins them.
                for mail in self.give_back():
                    self._on_settled(FinishedAttempt.of(mail, RELEASED))
            self._settle(finished)
            if following and (self._is_stopping or self._runner.must_release(following)):
                self._settle(self._runner.release(following))
                following = None
            if following is None:
                self._end_sending()
            attempt = following

    def _begin_next(self, waits: bool) -> Attempt | None:
        """Take and render the next mail that can be sent. Returns None if there is none; with `waits`, at the stop."""
        while taken := self._take(waits):
            mail, send_by = taken
            is_late = time.monotonic() > send_by
            begun = FinishedAttempt.of(mail, RELEASED) if is_late else self._runner.begin(mail, send_by)
            if isinstance(begun, Attempt):
                return begun
            self._settle(begun)
            if waits:
                self._end_sending()
        return None

    def _take(self, waits: bool) -> tuple[ClaimedMail, float] | None:
        with self._changed:
            if waits:
                self._idle += 1
                self._changed.wait_for(lambda: (self._waiting and self._sending < self._limit) or self._is_stopping)
                self._idle -= 1
                self._sending += 1
            elif self._sending > self._limit or len(self._waiting) <= min(self._idle, self._limit - self._sending):
                return None  # its connection must be closed, or other threads are about to take the mails
            if self._is_stopping:
                return None
            self._busy += 1
            return self._waiting.popleft()

    def _end_sending(self) -> None:
        with self._changed:
            self._sending -= 1
            self._changed.notify()

    def _settle(self, finished: FinishedAttempt) -> None:
        with self._changed:
            self._busy -= 1
        self._on_settled(finished)
