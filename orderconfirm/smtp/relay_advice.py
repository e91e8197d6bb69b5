"""What to do about a relay that refuses, by the stage of the refusal."""

from __future__ import annotations

import ssl
from collections.abc import Collection

from orderconfirm.errors import ORDER_STAGES, DeliveryFailure, SlowDown, TooManyConnections
from orderconfirm.settings import Relay, Settings

#: OpenSSL's results of a certificate's verification (X509_V_ERR_…).
_NOT_YET_VALID, _EXPIRED, _HOSTNAME_MISMATCH, _IP_MISMATCH = 9, 10, 62, 64
#: Replies about a login, at any stage (RFC 4954 section 6).
_LOGIN_CODES = frozenset({534, 535, 538})


def advise(settings: Settings, relay: Relay, exc: DeliveryFailure, addresses: Collection[str] = ()) -> str:
    """Return what an operator does about the failure of a session with `relay`, whose addresses may be known."""
    if isinstance(exc, TooManyConnections):
        return "other processes use all connections of the account: lower MAIL_MAX_CONNECTIONS to what is left for us"
    if isinstance(exc, SlowDown):
        return "set MAIL_RATE_LIMIT to what your plan allows"
    cause = exc.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _about_certificate(cause.verify_code)
    if exc.stage in ("connect", "banner", "ehlo"):
        return _about_connection(relay, exc, addresses)
    if exc.stage == "starttls":
        if isinstance(cause, ssl.SSLError):
            return "this port does not speak TLS like this: 587 is for MAIL_USE_TLS=true, 465 for MAIL_USE_SSL=true"
        return "set the relay's port for STARTTLS, usually 587, or MAIL_USE_SSL=true with port 465"
    if not exc.code:
        return "the relay stopped responding: try again, and ask its operator if that goes on"
    if exc.stage == "auth" or exc.code in _LOGIN_CODES:
        return f"compare {_login_variables(settings)} with the relay's account, and its limits if the reply names one"
    if exc.stage in ORDER_STAGES:
        return "see the relay's account: it may need a login, a verified domain of EMAIL_SENDER, or a larger quota"
    return _about_sender(settings, exc)


def _about_certificate(code: int) -> str:
    if code == _EXPIRED:
        return "the relay's operator must renew the certificate; check this machine's clock too"
    if code == _NOT_YET_VALID:
        return "check this machine's clock"
    if code in (_HOSTNAME_MISMATCH, _IP_MISMATCH):
        return "set MAIL_SERVER to a name that the certificate has"
    return "if the relay has a CA of its own, name its file in MAIL_CA_FILE; otherwise someone may be in between"


def _about_connection(relay: Relay, exc: DeliveryFailure, addresses: Collection[str]) -> str:
    if exc.code:
        return "the relay refuses this machine: ask its operator, or wait if the reply says so"
    if isinstance(exc.__cause__, TimeoutError) and exc.stage == "banner" and relay.security != "tls":
        return "if this port speaks TLS from the first byte, like 465, set MAIL_USE_SSL=true; otherwise try again"
    if isinstance(exc.__cause__, TimeoutError):
        return "a firewall may be in between: many clouds block port 25, so try 587 or 2525"
    if exc.stage != "connect":
        return f"check that MAIL_SERVER and MAIL_PORT ({relay.host}:{relay.port}) are those of an SMTP relay"
    if addresses and all(":" in address for address in addresses):
        return "the relay has only IPv6 addresses: this machine needs IPv6, or another MAIL_SERVER"
    return f"check MAIL_SERVER and MAIL_PORT ({relay.host}:{relay.port}), that the relay runs, and the firewall"


def _login_variables(settings: Settings) -> str:
    if settings.mail_server:
        return "MAIL_USERNAME and MAIL_PASSWORD"
    if settings.mailtrap_sandbox_user:
        return "MAILTRAP_SANDBOX_USER and MAILTRAP_SANDBOX_PASSWORD"
    return "MAILTRAP_API_TOKEN"


def _about_sender(settings: Settings, exc: DeliveryFailure) -> str:
    if exc.code == 530:
        return "the relay wants a login or encryption first: set MAIL_USERNAME and MAIL_PASSWORD, or MAIL_USE_TLS=true"
    return "verify the domain of EMAIL_SENDER in the relay's account, or use a sender that it allows"
