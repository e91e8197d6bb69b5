"""The limit of each shop's requests (API_RATE_LIMIT), counted in Redis for all processes, or in this one."""

from __future__ import annotations

import logging
import math
import threading
import time

from limits import RateLimitItemPerSecond
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter

from orderconfirm.settings.values import Rate

log = logging.getLogger(__name__)

#: Seconds to connect to Redis, and to wait for a reply.
REDIS_TIMEOUT = 0.25
#: Seconds for which Redis is not asked after it failed, and between two log lines about that.
PAUSE_SECONDS = 5.0
LOG_INTERVAL = 60.0


class ShopLimit:
    """A counter of requests for each shop.

    While Redis cannot be reached, every request is allowed: orders matter more than the limit.
    """

    def __init__(self, rate: Rate, processes: int, storage_url: str) -> None:
        """Connect to nothing yet.

        Without `storage_url`, each of `processes` gets an equal share of the limit, at least one request.
        """
        count = rate.count if storage_url else max(1, rate.count // processes)
        self._limit = RateLimitItemPerSecond(count, int(rate.seconds))
        self._limiter = MovingWindowRateLimiter(_redis(storage_url) if storage_url else MemoryStorage())
        self._paused_until = self._silent_until = -math.inf
        self._lock = threading.Lock()

    def seconds_to_wait(self, shop: str) -> int | None:
        """Count a request of `shop`. Returns None if it is allowed, else the seconds until the next one is."""
        if time.monotonic() < self._paused_until:
            return None
        try:
            if self._limiter.hit(self._limit, "shop", shop):
                return None
            reset, _ = self._limiter.get_window_stats(self._limit, "shop", shop)
        except StorageError as exc:
            self._pause(exc)
            return None
        return max(1, math.ceil(reset - time.time()))

    def _pause(self, exc: StorageError) -> None:
        with self._lock:
            now = time.monotonic()
            self._paused_until = now + PAUSE_SECONDS
            is_silent = now < self._silent_until
            if not is_silent:
                self._silent_until = now + LOG_INTERVAL
        if not is_silent:
            reason = type(exc.storage_error).__name__
            log.error("Redis (RATELIMIT_STORAGE_URL) fails: requests are not limited", extra={"reason": reason})


def _redis(url: str) -> RedisStorage:
    return RedisStorage(url, wrap_exceptions=True, socket_timeout=REDIS_TIMEOUT, socket_connect_timeout=REDIS_TIMEOUT)
