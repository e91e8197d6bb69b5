"""The thread that claims due callbacks and has them posted, in the processes that send mails."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from urllib.parse import urlsplit

from orderconfirm.callbacks.http_post import TIMEOUT, Poster
from orderconfirm.callbacks.schedule import HostBreaker, Response, decide
from orderconfirm.callbacks.webhook import body_of, headers_of
from orderconfirm.errors import OutboxUnavailable
from orderconfirm.metrics import counters
from orderconfirm.metrics.table import CALLBACKS
from orderconfirm.outbox.callback_queue import CallbackQueue, Claim, ClaimedCallback, FinishedPost
from orderconfirm.outbox.database import Database
from orderconfirm.queries import CallbackState
from orderconfirm.shops import Shops

log = logging.getLogger(__name__)

#: Seconds between two looks for due callbacks. Nothing wakes the thread when one is stored.
POLL_INTERVAL = 2.0
#: Callbacks that are posted at the same time.
THREADS = 4
#: Seconds of a lease: a POST, the lookup of its name before it, and the wait for the database after it.
LEASE_SECONDS = 4 * TIMEOUT


class CallbackSender:
    """Posts callbacks from `start` to `stop`. Without a shop that has one, it does nothing."""

    def __init__(self, database: Database, shops: Shops, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds, by which the pauses of hosts are measured."""
        self._clock = clock
        self._queue = CallbackQueue(database)
        self._shops = shops
        self._poster = Poster(shops.settings.callback_allow_private)
        self._hosts: defaultdict[str, HostBreaker] = defaultdict(HostBreaker)
        self._posts = ThreadPoolExecutor(THREADS, "callback")
        self._loop: threading.Thread | None = None
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        #: What was posted and is not recorded yet, and how many callbacks are being posted.
        self._finished: list[FinishedPost] = []
        self._busy = 0
        self._is_failing = False

    def start(self) -> None:
        """Start to post callbacks. Call it after the fork."""
        if self._shops.callback_urls():
            self._loop = threading.Thread(target=self._run, name="callbacks", daemon=True)
            self._loop.start()

    @property
    def has_died(self) -> bool:
        """Whether the loop has ended without `stop`."""
        return self._loop is not None and not self._loop.is_alive() and not self._stopping.is_set()

    def begin_stop(self) -> None:
        """Claim nothing more. What is being posted is finished."""
        self._stopping.set()
        self._wake.set()

    def stop(self, seconds: float) -> None:
        """Wait up to `seconds` for what is being posted. Callbacks not recorded by then are posted again later."""
        self.begin_stop()
        if self._loop:
            self._loop.join(max(0.0, seconds))
        self._ended.set()
        self._wake.set()
        self._posts.shutdown(wait=False)

    def round(self) -> float:
        """Record what was posted, and post what is due.

        Returns the seconds until the next round. Raises OutboxUnavailable.
        """
        finished = self._take_finished()
        try:
            claims, wait = ([], POLL_INTERVAL) if self._stopping.is_set() else self._claims(self._clock())
            claimed = self._queue.exchange(finished, claims, LEASE_SECONDS) if finished or claims else []
        except OutboxUnavailable:
            with self._lock:
                self._finished += finished
            raise
        for post in finished:
            _note(post)
        for callback in claimed:
            self._begin(callback)
        return wait

    @property
    def is_busy(self) -> bool:
        """Whether anything is being posted, or was and is not recorded yet."""
        with self._lock:
            return self._busy > 0 or bool(self._finished)

    def _run(self) -> None:
        while not self._ended.is_set() and (self.is_busy or not self._stopping.is_set()):
            self._wake.clear()
            try:
                wait = self.round()
                self._is_failing = False
            except Exception as exc:  # continue after every exception, like the dispatcher
                wait = POLL_INTERVAL
                if not self._is_failing:
                    log.error("callbacks cannot be claimed or recorded", exc_info=exc)
                self._is_failing = True
            self._wake.wait(wait)

    def _claims(self, now: float) -> tuple[list[Claim], float]:
        """Return what may be claimed, and the seconds until more is due. Callbacks of gone endpoints are given up."""
        due_in, gone = self._queue.waiting()
        shops_at: defaultdict[str, list[str]] = defaultdict(list)
        switched_off = []
        for shop, seconds in due_in.items():
            url = self._shops[shop].settings.callback_url
            if url in gone:
                switched_off.append(shop)
            elif url and seconds <= 0:
                shops_at[_host(url)].append(shop)
        if switched_off:
            counters.add(CALLBACKS, (CallbackState.GONE,), self._queue.switch_off(switched_off))
        claims = []
        free = THREADS - self._busy
        for host in random.sample([*shops_at], len(shops_at)):
            limit = min(free, self._hosts[host].allowance(now))
            if limit > 0:
                claims.append(Claim(shops_at[host], limit))
                free -= limit
        return claims, min([POLL_INTERVAL, *(seconds for seconds in due_in.values() if seconds > 0)])

    def _begin(self, callback: ClaimedCallback) -> None:
        url = self._shops[callback.shop].settings.callback_url
        with self._lock:
            self._busy += 1
            self._hosts[_host(url)].busy += 1
        self._posts.submit(self._post, callback, url)

    def _post(self, callback: ClaimedCallback, url: str) -> None:
        try:
            secrets = self._shops[callback.shop].settings.callback_secrets
            body = body_of(callback)
            response = self._poster.post(url, body.encode(), headers_of(callback, body, secrets, datetime.now(UTC)))
        except Exception as exc:
            log.error("a callback could not be posted", extra=_ids(callback), exc_info=exc)
            response = Response(None, type(exc).__name__)
        host = _host(url)
        now = self._clock()
        with self._lock:
            breaker = self._hosts[host]
            breaker.busy -= 1
            is_paused = breaker.ended(response, now)
            self._busy -= 1
            self._finished.append(decide(callback, response, url, random.random()))  # noqa: S311
        if is_paused:
            extra = {"host": host, "reason": response.problem, "seconds": round(breaker.seconds_left(now))}
            log.error("the callbacks to a host are paused", extra=extra)
        self._wake.set()

    def _take_finished(self) -> list[FinishedPost]:
        with self._lock:
            finished, self._finished = self._finished, []
            return finished


def _host(url: str) -> str:
    return urlsplit(url).netloc.lower()


def _ids(callback: ClaimedCallback) -> dict[str, object]:
    return {"shop": callback.shop, "order_id": callback.order_id, "callback": callback.event}


def _note(post: FinishedPost) -> None:
    """Count and log a recorded attempt."""
    outcome = "retried" if post.state is CallbackState.WAITING else post.state
    counters.add(CALLBACKS, (outcome,))
    extra = {**_ids(post.callback), "attempt": post.callback.attempts + 1, "reason": post.reason}
    if post.gone_url:
        host = _host(post.gone_url)
        log.error("a callback URL is switched off: it responded with 410", extra={**extra, "host": host})
    elif post.state is CallbackState.FAILED:
        log.error("a callback is given up: flask outbox callback --replay posts it again", extra=extra)
    elif post.state is CallbackState.WAITING:
        log.warning("a callback was not delivered and is tried again", extra=extra)
    else:
        log.debug("callback delivered", extra=extra)
