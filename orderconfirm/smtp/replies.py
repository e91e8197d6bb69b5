"""The meaning of a relay's reply, by its text first and its code second.

A code alone misleads: Mailtrap sends `550 … too many emails per second` and `535 … too many connections` for temporary
conditions. Only short substrings are matched, because the wording around them has changed before.
"""

from __future__ import annotations

import re
import smtplib
import ssl

from orderconfirm.errors import (
    ORDER_STAGES,
    DeliveryFailure,
    Denied,
    Refused,
    RelayMisconfigured,
    RelayTrouble,
    SlowDown,
    TooManyConnections,
    TryLater,
    UnknownOutcome,
)
from orderconfirm.logs import shortened

#: Maximum number of characters of a reply that are interpreted and stored.
MAX_REPLY_TEXT = 2000

#: The stages before a transaction. Trouble there concerns the relay, whatever the code.
SESSION_STAGES = frozenset({"connect", "banner", "ehlo", "starttls", "auth"})

#: The stages before RCPT TO: a limit reported there is our account's, not the recipient's.
_BEFORE_RECIPIENT = SESSION_STAGES | {"mail"}
_ANY_STAGE = _BEFORE_RECIPIENT | ORDER_STAGES

#: Lower-case words in a reply, the stages at which they count, and their meaning. A relay's own wording goes here; it
#: takes precedence over all rules below. Document it in docs/operations.md.
_BY_TEXT: tuple[tuple[str, frozenset[str], type[DeliveryFailure]], ...] = (
    ("too many emails per second", _ANY_STAGE, SlowDown),
    ("too many connections", _BEFORE_RECIPIENT, TooManyConnections),
    ("too many failed login", _BEFORE_RECIPIENT, RelayMisconfigured),
    ("limit reached", _BEFORE_RECIPIENT, RelayMisconfigured),
    ("limit is reached", _BEFORE_RECIPIENT, RelayMisconfigured),
    ("sending from domain", _BEFORE_RECIPIENT, RelayMisconfigured),
    ("match the sender's domain", _ANY_STAGE, RelayMisconfigured),
)

#: After this, Postfix quotes the next server's reply, which is about the recipient and not about our account.
_QUOTED = " said: "
#: RFC 3463: security or policy, about the recipient or about everything that we send.
_POLICY_CODE = re.compile(r"5\.7\.\d+\b")
#: Amazon SES: a sender, or, while the account is in its sandbox, a recipient.
_NOT_VERIFIED = re.compile(r"\bnot verified\b", re.IGNORECASE)
#: We may not send through this relay at all: Postfix, Sendmail, Exim, Exchange, qmail.
_NO_RELAYING = re.compile(
    r"\brelay(?:ing)? (?:access )?(?:is )?(?:denied|prohibited|not (?:permitted|allowed))"
    r"|\b(?:unable|not (?:permitted|allowed|authori[sz]ed)) to relay\b"
    r"|\brcpthosts\b",
    re.IGNORECASE,
)

#: Codes that mean bad settings at any stage: RFC 4954 section 6, and 530 "authentication required".
_CONFIGURATION_CODES = frozenset({530, 534, 535, 538})

#: RFC 3463: 5.7 is security or policy, 5.1.7 and 5.1.8 a bad sender address. At MAIL only the sender is known.
_BAD_SENDER_CODE = re.compile(r"5\.(?:7\.\d+|1\.[78])\b")
#: X.2.1 and X.2.2: the recipient's mailbox is disabled, or full (RFC 3463 section 3.3).
_MAILBOX_CODE = re.compile(r"[45]\.2\.[12]\b")
_ENHANCED_CODE = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b")
# Words are searched for one by one, in linear time: a pattern with ".*" between them would restart at each first word.
#: About the sender, at any stage: Postfix checks it once it knows the recipient. All orders have the same sender.
_SENDER = re.compile(r"\b(?:sender|from:?)[ -](?:address|domain|header|identity)\b", re.IGNORECASE)
_REJECTED = re.compile(r"\b(?:rejected|refused|not|denied|mismatch)\b", re.IGNORECASE)
_NOT_OWNED = re.compile(r"\bnot owned by user\b", re.IGNORECASE)
#: A sending limit of the account: not a mailbox or size limit, and not a rate limit, which is temporary.
_SENDING = re.compile(r"\b(?:daily|monthly|hourly|per (?:day|month|hour)|sending|e-?mails?|messages?)\b", re.IGNORECASE)
_NOT_SENDING = re.compile(r"\b(?:size|mailbox|recipient|rate)\b", re.IGNORECASE)
_LIMIT = re.compile(r"\b(?:limit|quota)\b", re.IGNORECASE)
#: Too fast: Postfix, Amazon SES, Exchange and others.
_TOO_FAST = re.compile(
    r"\btoo (?:many (?:e-?mails|mails|messages)|much mail)\b|\b(?:sending|submission|message) rate\b|\brate limit"
    r"|\bthrottl",
    re.IGNORECASE,
)
#: Limits for one recipient or one connection, which do not mean that we send too fast.
_NOT_TOO_FAST = re.compile(r"\b(?:recipient|mailbox|connection|session)\b", re.IGNORECASE)
_USED_UP = re.compile(r"\b(?:exceed|reach|used up|over)", re.IGNORECASE)

_TRY_AGAIN = re.compile(
    r"\b(?:try|retry)(?: again)? (?:in|after) (\d{1,6}) ?(second|sec|minute|min|hour|s\b|m\b|h\b)", re.I
)
#: Maximum seconds of a pause that a reply's text can ask for.
MAX_WAIT_SECONDS = 3600.0
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def read_reply(stage: str, code: int, text: str) -> DeliveryFailure:
    """Return the failure that a negative reply at `stage` means."""
    failure_type = _failure_type(stage, code, text)
    return failure_type(stage, text, code, _retry_after(text))


def translate_error(failure: Exception, stage: str) -> DeliveryFailure:
    """Return the DeliveryFailure for a library's or the system's error at `stage`."""
    if isinstance(failure, DeliveryFailure):
        return failure
    if isinstance(failure, ssl.SSLCertVerificationError):
        return RelayMisconfigured(stage, f"the relay's certificate is not trusted: {failure.verify_message}")
    if isinstance(failure, smtplib.SMTPResponseException) and failure.smtp_code > 0 and stage != "end_of_data":
        error = failure.smtp_error
        text = decode_text(error) if isinstance(error, bytes) else str(error)
        return read_reply(stage, failure.smtp_code, text)
    text = str(failure) or type(failure).__name__
    if stage in SESSION_STAGES or stage == "mail":
        return RelayTrouble(stage, text)
    if stage == "end_of_data":
        return UnknownOutcome(stage, text)
    return TryLater(stage, text)


def decode_text(text: bytes) -> str:
    """Return a reply's text as one line."""
    return shortened(text.decode("ascii", "replace").replace("\n", " ").strip(), MAX_REPLY_TEXT)


def _failure_type(stage: str, code: int, text: str) -> type[DeliveryFailure]:
    whole, text = text, text.partition(_QUOTED)[0]
    words = text.lower()
    for part, stages, failure_type in _BY_TEXT:
        if stage in stages and part in words:
            return failure_type
    if stage in ORDER_STAGES and _is_about_mailbox(code, text):
        return _of_order(code, whole)
    if code in _CONFIGURATION_CODES or _is_quota_used_up(text):
        return RelayMisconfigured
    if stage in SESSION_STAGES:
        return RelayMisconfigured if stage in ("starttls", "auth") and code >= 500 else RelayTrouble
    if _TOO_FAST.search(text) and not _NOT_TOO_FAST.search(text):
        return SlowDown
    # Postfix's default is to defer relaying, not to refuse it: 454 4.7.1.
    if _NO_RELAYING.search(text):
        return RelayMisconfigured
    # From RCPT TO on, a 421 may be about that order, and must not stop all the others.
    if code == 421 and stage == "mail":
        return RelayTrouble
    if code >= 500 and (_is_bad_sender(text) or (stage == "mail" and _BAD_SENDER_CODE.match(text))):
        return RelayMisconfigured
    return _of_order(code, whole)


def _of_order(code: int, text: str) -> type[DeliveryFailure]:
    if code < 500 or _retry_after(text):
        return TryLater
    return Denied if _POLICY_CODE.match(text) or _NOT_VERIFIED.search(text) else Refused


def _is_about_mailbox(code: int, text: str) -> bool:
    return bool(_MAILBOX_CODE.match(text)) or (code == 552 and not _ENHANCED_CODE.match(text))


def _is_bad_sender(text: str) -> bool:
    return _follows(_SENDER, _REJECTED, text) or bool(_NOT_OWNED.search(text))


def _is_quota_used_up(text: str) -> bool:
    return _follows(_SENDING, _LIMIT, _NOT_SENDING.split(text)[-1]) and bool(_USED_UP.search(text))


def _follows(first: re.Pattern[str], second: re.Pattern[str], text: str) -> bool:
    """Whether `second` occurs somewhere after `first`."""
    found = first.search(text)
    return bool(found and second.search(text, found.end()))


def _retry_after(text: str) -> float | None:
    found = _TRY_AGAIN.search(text)
    return min(float(found[1]) * _SECONDS[found[2][0].lower()], MAX_WAIT_SECONDS) if found else None
