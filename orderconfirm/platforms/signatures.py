"""The signatures of webhooks: HMAC-SHA256 over the raw body, in the four forms that shop platforms use.

Several secrets may be valid at once, so that they can be rotated. Every comparison takes constant time, and no header
or body raises: a malformed one is a wrong signature.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

#: Maximum difference in seconds between a signed time and now, in either direction.
TOLERANCE = 300
#: Signatures that are compared: platforms send one, or one for each secret during a rotation.
_MAX_SIGNATURES = 10
#: Maximum characters of a signed Unix time. `int` is quadratic in the number of digits.
_MAX_DIGITS = 12


def verify_base64(signature: str, body: bytes, secrets: Sequence[str]) -> bool:
    """Whether `signature` is the base64 of the body's HMAC (WooCommerce, Shopify)."""
    return _matches([signature], (b64encode(_mac(secret.encode(), body)) for secret in secrets))


def verify_hex(signature: str, body: bytes, secrets: Sequence[str]) -> bool:
    """Whether `signature` is the body's HMAC in hexadecimal (Saleor)."""
    return _matches([signature.lower()], (_mac(secret.encode(), body).hex().encode() for secret in secrets))


def verify_stripe(header: str, body: bytes, secrets: Sequence[str], now: float) -> bool:
    """Whether a Stripe-Signature header is valid: `t=<Unix time>,v1=<hex>`, with one `v1` for each secret.

    The whole secret is the key, with its prefix `whsec_`. https://docs.stripe.com/webhooks/signature
    """
    pairs = [part.strip().partition("=") for part in header.split(",", _MAX_SIGNATURES + 1)]
    times = [value for name, _, value in pairs if name == "t"]
    signatures = [value for name, _, value in pairs if name == "v1"]
    if len(times) != 1 or not _is_recent(times[0], now):
        return False
    signed = times[0].encode() + b"." + body
    return _matches(signatures, (_mac(secret.encode(), signed).hex().encode() for secret in secrets))


def verify_standard(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: float) -> bool:
    """Whether the headers of Standard Webhooks are valid (names in lower case).

    The key is the base64 after `whsec_`. https://github.com/standard-webhooks/standard-webhooks/blob/main/spec
    """
    message_id, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or not _is_recent(sent_at, now):
        return False
    versions = [part.partition(",") for part in headers.get("webhook-signature", "").split(" ", _MAX_SIGNATURES)]
    signatures = [signature for version, _, signature in versions if version == "v1"]
    signed = f"{message_id}.{sent_at}.".encode("utf-8", "surrogateescape") + body
    return _matches(signatures, (b64encode(_mac(standard_key(secret), signed)) for secret in secrets))


def standard_key(secret: str) -> bytes:
    """Return the key of a Standard Webhooks secret. Raises ValueError when it is not `whsec_` and base64."""
    digits = secret.removeprefix("whsec_").rstrip("=")  # some tools leave the padding out
    try:
        return b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except binascii.Error:
        raise ValueError("must be whsec_ and base64, as Standard Webhooks has it") from None


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, sha256)


def _matches(signatures: Sequence[str], expected: Iterable[bytes]) -> bool:
    """Whether any signature is one of those expected. All are compared, so that the time taken reveals nothing."""
    known = list(expected)
    presented = [signature.strip().encode("utf-8", "surrogateescape") for signature in signatures[:_MAX_SIGNATURES]]
    return any([hmac.compare_digest(each, one) for each in presented for one in known])


def _is_recent(unix_time: str, now: float) -> bool:
    if not (unix_time.isascii() and unix_time.isdigit() and len(unix_time) <= _MAX_DIGITS):
        return False
    return abs(int(unix_time) - now) <= TOLERANCE
