"""Who may use the API, and how often: keys, known by their hashes, and limits."""

from __future__ import annotations

import hmac
import logging
import math
import threading
import time
from hashlib import sha256

from flask import g, request
from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, TooManyRequests, Unauthorized

from orderconfirm.models import DEFAULT_SHOP
from orderconfirm.settings import Settings
from orderconfirm.web import problem_types

log = logging.getLogger(__name__)

#: The longest address of a caller, in characters; a proxy that passes on what it was given may name a longer one.
MAX_ADDRESS_LENGTH = 64
#: Wrong keys a minute from one address until each further one is answered late, and so many of them at once.
WRONG_KEYS_A_MINUTE = 10
#: What happens more often to one caller is logged once a minute: nobody may fill the log.
_ONCE_A_MINUTE = RateLimitItemPerMinute(1)
WRONG_KEY_DELAY = 0.25
DELAYED_AT_ONCE = 4


_WRONG_KEY = "a request without a valid key"


class Authenticator:
    """Asked before each request to the API; counts within this process."""

    def __init__(self, settings: Settings) -> None:
        self._keys = settings.api_keys
        self._origins = frozenset(origin.lower() for origin in settings.cors_origins)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._wrong_keys = RateLimitItemPerMinute(WRONG_KEYS_A_MINUTE)
        self._delayed = threading.BoundedSemaphore(DELAYED_AT_ONCE)
        self._limit: RateLimitItem | None = None
        if rate := settings.api_rate_limit:
            # Each worker has its share, and no less than one request.
            share = max(1, rate.count // settings.workers)
            self._limit = RateLimitItemPerSecond(share, int(rate.seconds))

    def authenticate(self) -> None:
        """Know the caller's shop from here on. Raises Unauthorized, Forbidden or TooManyRequests."""
        self.authenticate_as(self._shop())

    def authenticate_as(self, shop: str) -> None:
        """Take the request as this shop's. Raises TooManyRequests."""
        g.shop = shop
        if self._limit and not self._limiter.hit(self._limit, "shop", shop):
            if self._limiter.hit(_ONCE_A_MINUTE, "too often", shop):
                log.warning("a shop calls too often", extra={"shop": shop})
            raise self._too_many("too many requests with this key", self._limit, "shop", shop)

    def note_wrong_secret(self, words: str) -> bool:
        """Log `words` about a caller with a wrong key or signature. False when its address had too many this minute.

        Of those there is one more line. Neither repeats what the caller wrote.
        """
        address = _address()
        about = {"address": address, "route": str(request.url_rule)}
        if self._limiter.hit(self._wrong_keys, words, address):
            log.warning(words, extra=about)
            return True
        if self._limiter.hit(_ONCE_A_MINUTE, words, address):
            log.warning("%s, again and again: no more of them are logged for a minute", words, extra=about)
        return False

    def _shop(self) -> str:
        if not self._keys:
            self._refuse_other_sites()
            return DEFAULT_SHOP
        key = _presented_key()
        presented = sha256(key.encode()).hexdigest() if key else ""
        # Every key is compared, each in constant time: the time taken tells nothing about any of them.
        shops = [key.shop for key in self._keys if hmac.compare_digest(key.digest, presented)]
        if shops:
            return shops[0]
        if not self.note_wrong_secret(_WRONG_KEY):
            self._slow_down()
        raise Unauthorized(
            problem_types.UNAUTHORIZED.detail,
            www_authenticate=WWWAuthenticate("bearer", {"realm": "orderconfirm"}),
        )

    def _refuse_other_sites(self) -> None:
        """What needs no key, any page could have its reader's browser send; without a body, even without preflight."""
        origin = request.headers.get("Origin", "").lower()
        # Not every browser names the site to every address; each names the origin, when it is another's.
        is_ours = request.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")
        is_ours = is_ours and (not origin or origin.partition("://")[2] == request.host.lower())
        if request.method not in ("GET", "HEAD") and not is_ours and origin not in self._origins:
            raise Forbidden(problem_types.CROSS_SITE.detail)

    def _slow_down(self) -> None:
        """A right key is never locked out, for whole companies share an address; a wrong one has time."""
        if not self._delayed.acquire(blocking=False):
            raise self._too_many("too many wrong keys from this address", self._wrong_keys, _WRONG_KEY, _address())
        try:
            time.sleep(WRONG_KEY_DELAY)
        finally:
            self._delayed.release()

    def _too_many(self, what: str, limit: RateLimitItem, *identifiers: str) -> TooManyRequests:
        reset, _ = self._limiter.get_window_stats(limit, *identifiers)
        seconds = max(1, math.ceil(reset - time.time()))
        return TooManyRequests(f"There were {what}: try again in {seconds} s.", retry_after=seconds)


def _address() -> str:
    return (request.remote_addr or "")[:MAX_ADDRESS_LENGTH]


def _presented_key() -> str:
    """Authorization counts alone where it is sent: a wrong key must not pass because a right one stands beside it."""
    if "Authorization" not in request.headers:
        return request.headers.get("X-API-Key", "")
    scheme, _, key = request.headers["Authorization"].partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
