"""Schema fields for text with a syntax: addresses, URLs, currency codes, language tags, time zones."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from orderconfirm.order.fields import Text

#: The usual form of an address, which needs no parser: up to 64 characters before the @, at most 63 behind it, and no
#: domain label with a reserved form like xn--.
_USUAL_ADDRESS = re.compile(
    r"(?=[^@]{1,64}@[^@]{4,63}\Z)[A-Za-z0-9_+]++(?:[.-][A-Za-z0-9_+]++)*+@(?:[a-z0-9]++(?:-[a-z0-9]++)*+\.)+[a-z]{2,}\Z"
)
_SPECIAL_DOMAINS = tuple(f".{name}" for name in SPECIAL_USE_DOMAIN_NAMES)
_LOCALE = re.compile(r"[A-Za-z]{1,8}(?:[_.@-][A-Za-z0-9-]{1,16}){0,8}\Z")


class MailAddress(Text):
    """An address that every SMTP relay accepts: ASCII local part, domain in IDNA 2008 form. Makes no DNS lookup.

    Domains under .test (RFC 6761) are accepted, because shops test their checkout with them.
    """

    default_error_messages = {
        "ascii": "has a non-ASCII character before the @, which requires SMTPUTF8: ask for an ASCII address",
        "address": "is not an email address: {reason}",
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(254, exact=True, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str | None:
        text = super()._deserialize(value, attr, data, **options)
        if text is None or (_USUAL_ADDRESS.match(text) and not f".{text.partition('@')[2]}".endswith(_SPECIAL_DOMAINS)):
            return text
        if not text.rpartition("@")[0].isascii():
            raise self.make_error("ascii")
        try:
            found = validate_email(
                text, check_deliverability=False, allow_smtputf8=False, test_environment=True, strict=True
            )
        except EmailNotValidError as exc:
            raise self.make_error("address", reason=str(exc).rstrip(".")) from exc
        return found.ascii_email


class WebUrl(Text):
    """An absolute http or https address."""

    default_error_messages = {"url": "must be an absolute URL that starts with https:// or http://"}

    def __init__(self, **options: Any) -> None:
        super().__init__(2000, exact=True, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str | None:
        text = super()._deserialize(value, attr, data, **options)
        if text is None:
            return None
        try:
            parts = urlsplit(text)
            is_whole = bool(parts.hostname) and parts.port != 0  # reading the port checks it
        except ValueError as exc:
            raise self.make_error("url") from exc
        if parts.scheme not in ("http", "https") or not is_whole or re.search(r'[\s<>"]', text):
            raise self.make_error("url")
        return text


class CurrencyCode(Text):
    """Three letters in upper case. Codes that ISO 4217 does not list are accepted."""

    default_error_messages = {"currency": "must be three letters like USD"}

    def __init__(self, **options: Any) -> None:
        super().__init__(40, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str | None:
        text = super()._deserialize(value, attr, data, **options)
        if text is not None and not re.fullmatch(r"[A-Za-z]{3}", text):
            raise self.make_error("currency")
        return text.upper() if text else None


class LocaleTag(Text):
    """A language tag like de, en-CA or zh_Hant_TW. An unknown language is valid: the mail then uses the default."""

    default_error_messages = {"locale": "must be a language tag like en, de-AT or pt_BR"}

    def __init__(self, **options: Any) -> None:
        super().__init__(80, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str | None:
        text = super()._deserialize(value, attr, data, **options)
        if text is not None and not _LOCALE.match(text):
            raise self.make_error("locale")
        return text


class TimeZoneName(Text):
    """A time zone of the IANA database."""

    default_error_messages = {"timezone": "must be an IANA time zone like Europe/Berlin"}

    def __init__(self, **options: Any) -> None:
        super().__init__(64, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str | None:
        text = super()._deserialize(value, attr, data, **options)
        if text is not None:
            try:
                ZoneInfo(text)
            except (ValueError, KeyError, OSError) as exc:
                raise self.make_error("timezone") from exc
        return text
