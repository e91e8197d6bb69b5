"""Parsers of the variables' values. Each raises ValueError with the rest of a sentence that begins with the name."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

_SHA256_OF_EMPTY = sha256(b"").hexdigest()
_COLOR = re.compile(r"#[0-9a-fA-F]{6}\Z")
#: Upper limit of every number: larger values are typing errors, and timers reject them.
_MAX_NUMBER = 10**8
_MAX_LEGAL_TEXT_LENGTH = 10_000


def boolean(text: str) -> bool:
    word = text.strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError("must be true or false")


def sender_role(text: str) -> str:
    if text not in ("process", "thread", "off", "only"):
        raise ValueError("must be process, thread, off or only")
    return text


def database(text: str) -> str:
    if not re.match(r"sqlite:///.|postgres(?:ql)?(?:\+psycopg)?://.", text):
        raise ValueError("must be sqlite:///file or postgresql://…")
    # Unquoted, a part of the password would be read as a host or a database, and be printed.
    user, separator, _ = text.partition("://")[2].rpartition("@")
    if separator and text.startswith("postgres") and re.search(r"[@/?#]", user):
        raise ValueError("has a user or password with @, /, ? or #: write these as %40, %2F, %3F and %23")
    return _with_port(text)


def redis(text: str) -> str:
    if not re.match(r"rediss?://.", text):
        raise ValueError("must be redis://host or rediss://host")
    return _with_port(text)


def _with_port(text: str) -> str:
    """Return a URL whose port is a number, if it has one."""
    try:
        urlsplit(text).port  # noqa: B018 - the property validates the port
    except ValueError:
        raise ValueError("has a port that is not a number") from None
    return text


def host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f.]*", text):
        raise ValueError("must be a host name or address without a port or http://")
    return text


def positive(text: str) -> int:
    if not re.fullmatch("[0-9]+", text):
        raise ValueError("must be a whole number")
    number = int(text[:20])  # it refuses thousands of digits
    if not 1 <= number <= _MAX_NUMBER:
        raise ValueError(f"must be from 1 to {_MAX_NUMBER}")
    return number


def port(text: str) -> int:
    number = positive(text)
    if number > 65535:
        raise ValueError("must be a port from 1 to 65535")
    return number


def color(text: str) -> str:
    if not _COLOR.match(text):
        raise ValueError("must be a colour like #0b5fff")
    return text.lower()


def currency(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{3}", text):
        raise ValueError("must be a three-letter currency code like USD")
    return text.upper()


def web_url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/]\S*", text):
        raise ValueError("must start with https:// or http://")
    return text


@dataclass(frozen=True, slots=True)
class ByLanguage:
    """A text by language tag (`de`, `de-AT`), and a `plain` one for all other languages."""

    plain: str = ""
    texts: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return self.plain


def legal_text(text: str) -> ByLanguage:
    """Parse a text used for all languages.

    It is limited because the whole HTML part, order included, must fit into 100,000 bytes.
    """
    if len(text) > _MAX_LEGAL_TEXT_LENGTH:
        raise ValueError(f"must have at most {_MAX_LEGAL_TEXT_LENGTH:,} characters: link to a longer text")
    return ByLanguage(text)


def url_by_language(text: str) -> ByLanguage:
    return ByLanguage(web_url(text))


def callback_url(text: str) -> str:
    """Parse a URL without a user, whose host, port and path may stand in a request as they are."""
    try:
        parts = urlsplit(text)
        is_complete = bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a malformed address or port
        is_complete = False
    if not is_complete or not re.fullmatch(r"https?://[!-~]+", text) or "@" in parts.netloc or "#" in text:
        raise ValueError("must be a URL like https://shop.example/callback, without a user and in ASCII")
    return text


def callback_secret(text: str) -> str:
    """Parse a secret of Standard Webhooks, whose key has 24 to 64 bytes."""
    try:
        key = b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if not text.startswith("whsec_") or not 24 <= len(key) <= 64:
        raise ValueError("must be whsec_ and the base64 of 24 to 64 random bytes")
    return text


def callback_secrets(text: str) -> tuple[str, ...]:
    return tuple(callback_secret(part.strip()) for part in text.split(",") if part.strip())


def metrics_namespace(text: str) -> str:
    if not re.fullmatch(r"(?!AWS/)[A-Za-z0-9._/#:-]{1,255}", text):
        raise ValueError("must be up to 255 letters, digits and . _ / # : -, and not begin with AWS/")
    return text


def folder(text: str) -> str:
    if not Path(text).is_dir():
        raise ValueError("is not a folder")
    return text


def delays(text: str) -> tuple[float, ...]:
    try:
        delays = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError("must be seconds separated by commas, like 10,60,300") from None
    if not all(0 < delay < 1e7 for delay in delays):
        raise ValueError("must be numbers of seconds above 0 and below 10,000,000")
    return delays


def environment(text: str) -> str:
    if text not in ("development", "production"):
        raise ValueError("must be development or production")
    return text


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` mails or requests in any `seconds`."""

    count: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.count}/{self.seconds:g}s"

    def share(self, part: int, whole: int) -> Rate:
        """Return `part` of `whole` equal parts, over a longer time if that is less than one mail or request."""
        count = self.count * part // whole
        return Rate(count, self.seconds) if count else Rate(1, self.seconds * whole / (self.count * part))


def rate(text: str) -> Rate:
    match = re.fullmatch(r"(\d{1,6})/(\d{0,5}(?:\.\d{1,3})?)(s|m|h)", text.replace(" ", ""))
    if not match:
        raise ValueError("must be a count per time, like 150/10s or 600/h")
    seconds = float(match[2] or 1) * {"s": 1, "m": 60, "h": 3600}[match[3]]
    if not int(match[1]) or not seconds:
        raise ValueError("must be above 0")
    return Rate(int(match[1]), seconds)


def rate_of_requests(text: str) -> Rate:
    """Parse a rate over whole seconds, the smallest unit of the request limiter."""
    limit = rate(text)
    if limit.seconds != int(limit.seconds):
        raise ValueError("must be requests per whole seconds, like 100/1s")
    return limit


def origins(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    if not all(re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+", origin) for origin in parts):
        raise ValueError("must be origins like https://shop.example, separated by commas")
    return parts


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key: the shop that it belongs to, and the SHA-256 of the key."""

    shop: str
    digest: str


def api_keys(text: str) -> tuple[ApiKey, ...]:
    """Parse shop:key pairs. A key may be given as sha256=<64 hex digits>, to keep it out of the environment."""
    keys: list[ApiKey] = []
    if not text.strip(", "):
        raise ValueError("has no keys: remove it, or set it to shop:key")
    for part in filter(None, (part.strip() for part in text.split(","))):
        shop, separator, key = part.partition(":")
        if not separator or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", shop):
            raise ValueError("must be shop:key pairs separated by commas, like shop1:long-random-key")
        digest = key.removeprefix("sha256=").lower()
        if key.startswith("sha256="):
            if not re.fullmatch(r"[0-9a-f]{64}", digest):
                raise ValueError(f"has a key for {shop} that is not a SHA-256 in hexadecimal")
            if digest == _SHA256_OF_EMPTY:
                raise ValueError(f"has a key for {shop} that is the SHA-256 of an empty string: hash the key")
        elif len(key) < 16:
            raise ValueError(f"has a key for {shop} that is shorter than 16 characters")
        elif not re.fullmatch(r"[!-~]+", key):
            raise ValueError(f"has a key for {shop} that is not allowed in a header: use ASCII letters and digits")
        else:
            digest = sha256(key.encode()).hexdigest()
        if any(known.digest == digest and known.shop != shop for known in keys):
            raise ValueError(f"uses the key of {shop} for another shop too")
        keys.append(ApiKey(shop, digest))
    return tuple(keys)


def signing_secret(text: str) -> str:
    if len(text) < 16:
        raise ValueError("is shorter than 16 characters: it is not a signing secret")
    return text


def session_key(text: str) -> str:
    if len(text) < 32:
        raise ValueError("is shorter than 32 characters: it must be long and random")
    return text


def proxies(text: str) -> int:
    if not re.fullmatch(r"[0-9]", text):
        raise ValueError("must be the number of proxies in front of the service, 0 to 9")
    return int(text)


def retry_or_hold(text: str) -> str:
    if text not in ("retry", "hold"):
        raise ValueError("must be retry or hold")
    return text
