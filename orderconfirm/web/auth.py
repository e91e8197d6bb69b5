"""Authentication by API key, and rate limits for shops and for wrong keys."""

from __future__ import annotations

import hmac
import logging
import math
import threading
import time
from hashlib import sha256

from flask import g, request
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, TooManyRequests, Unauthorized

from orderconfirm.models import DEFAULT_SHOP
from orderconfirm.settings import ApiKey, Settings
from orderconfirm.web import problem_types
from orderconfirm.web.shop_limit import ShopLimit

log = logging.getLogger(__name__)

#: Maximum characters of a client's address. A proxy that passes X-Forwarded-For on unchecked may send a longer one.
MAX_ADDRESS_LENGTH = 64
#: Wrong keys per minute from one address. The response to each further one is delayed by WRONG_KEY_DELAY seconds, up
#: to MAX_DELAYED at a time.
WRONG_KEYS_PER_MINUTE = 10
WRONG_KEY_DELAY = 0.25
MAX_DELAYED = 4
#: Beyond a limit, one line per minute is logged, so that no client can fill the log.
_ONCE_A_MINUTE = RateLimitItemPerMinute(1)


#: The WWW-Authenticate header of a 401.
CHALLENGE = WWWAuthenticate("bearer", {"realm": "orderconfirm"})
_WRONG_KEY = "request without a valid API key"


class Authenticator:
    """Identifies the shop of each API request. Wrong keys are counted in this process."""

    def __init__(self, settings: Settings) -> None:
        self._keys = settings.api_keys
        self._origins = frozenset(origin.lower() for origin in settings.cors_origins)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._wrong_keys = RateLimitItemPerMinute(WRONG_KEYS_PER_MINUTE)
        self._delayed = threading.BoundedSemaphore(MAX_DELAYED)
        self._shop_limit: ShopLimit | None = None
        if rate := settings.api_rate_limit:
            self._shop_limit = ShopLimit(rate, settings.workers, settings.ratelimit_storage_url)

    def authenticate(self) -> None:
        """Store the caller's shop in `g.shop`. Raises Unauthorized, Forbidden or TooManyRequests."""
        self.authenticate_as(self._shop())

    def authenticate_as(self, shop: str) -> None:
        """Count the request for `shop` and store it in `g.shop`. Raises TooManyRequests."""
        g.shop = shop
        if self._shop_limit and (seconds := self._shop_limit.seconds_to_wait(shop)):
            if self._limiter.hit(_ONCE_A_MINUTE, "too often", shop):
                log.warning("a shop exceeds API_RATE_LIMIT", extra={"shop": shop})
            raise _too_many("too many requests with this key", seconds)

    def find_key(self, presented: str) -> ApiKey | None:
        """Return the API key that the client presented, or None for a wrong one.

        Wrong keys are counted; beyond a limit, the response is delayed. Raises TooManyRequests.
        """
        digest = sha256(presented.encode()).hexdigest() if presented else ""
        # All keys are compared, each in constant time, so that the time taken reveals nothing about them.
        if found := [key for key in self._keys if hmac.compare_digest(key.digest, digest)]:
            return found[0]
        if not self.note_wrong_secret(_WRONG_KEY):
            self._slow_down()
        return None

    def note_wrong_secret(self, event: str) -> bool:
        """Log `event`, a wrong key or signature. Returns False when this address has exceeded its limit this minute.

        Beyond the limit one more line is logged. No line repeats anything that the client sent.
        """
        address = _address()
        extra = {"address": address, "route": str(request.url_rule)}
        if self._limiter.hit(self._wrong_keys, event, address):
            log.warning(event, extra=extra)
            return True
        if self._limiter.hit(_ONCE_A_MINUTE, event, address):
            log.warning("%s: too many, not logged for the next minute", event, extra=extra)
        return False

    def _shop(self) -> str:
        if not self._keys:
            self.refuse_other_sites()
            return DEFAULT_SHOP
        if key := self.find_key(presented_key()):
            return key.shop
        raise Unauthorized(problem_types.UNAUTHORIZED.detail, www_authenticate=CHALLENGE)

    def refuse_other_sites(self) -> None:
        """Refuse state-changing requests that another site's page makes a browser send. Raises Forbidden.

        Browsers send a POST without a body without a CORS preflight.
        """
        origin = request.headers.get("Origin", "").lower()
        # Some browsers omit Sec-Fetch-Site for some addresses. All send Origin with a cross-site request.
        is_ours = request.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")
        is_ours = is_ours and (not origin or origin.partition("://")[2] == request.host.lower())
        if request.method not in ("GET", "HEAD") and not is_ours and origin not in self._origins:
            raise Forbidden(problem_types.CROSS_SITE.detail)

    def _slow_down(self) -> None:
        """Delay the response to a wrong key. A right key is never delayed: whole companies share an address."""
        if not self._delayed.acquire(blocking=False):
            reset, _ = self._limiter.get_window_stats(self._wrong_keys, _WRONG_KEY, _address())
            raise _too_many("too many wrong keys from this address", max(1, math.ceil(reset - time.time())))
        try:
            time.sleep(WRONG_KEY_DELAY)
        finally:
            self._delayed.release()


def _too_many(reason: str, seconds: int) -> TooManyRequests:
    return TooManyRequests(f"There were {reason}: try again in {seconds} s.", retry_after=seconds)


def _address() -> str:
    return (request.remote_addr or "")[:MAX_ADDRESS_LENGTH]


def presented_key() -> str:
    """Return the key of the request. If there is an Authorization header, X-API-Key is ignored, even if it is right."""
    if "Authorization" not in request.headers:
        return request.headers.get("X-API-Key", "")
    scheme, _, key = request.headers["Authorization"].partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
