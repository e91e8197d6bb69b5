"""A session with the relay, opened with the sender's own connection class. Nothing is sent: no RCPT and no DATA."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orderconfirm.checks.findings import Finding, Status, error, ok, skipped, warning
from orderconfirm.errors import DeliveryFailure, SlowDown, TooManyConnections, TryLater
from orderconfirm.settings import Relay, Settings
from orderconfirm.smtp.connection import RelaySMTP
from orderconfirm.smtp.relay_advice import advise
from orderconfirm.smtp.relay_mail import RelayMail
from orderconfirm.smtp.timed_smtp import READY_TIMEOUT_FACTOR

#: Seconds for the lookup of the relay's name, for one of its replies, and for the whole conversation.
LOOKUP_TIMEOUT = 5.0
REPLY_TIMEOUT = 10.0
CONVERSATION_TIMEOUT = 18.0
#: A certificate that expires sooner should have been renewed: most are renewed 30 days before they expire.
MIN_CERTIFICATE_DAYS = 21

#: The steps of a session, in this order, and the stages (see DeliveryFailure) at which each can fail.
_STEPS = (
    ("connection", ("connect", "banner", "ehlo")),
    ("encryption", ("starttls",)),
    ("login", ("auth",)),
    ("sender", ("mail",)),
)


def examine_relay(settings: Settings) -> Iterator[Finding]:
    """Look up the relay, connect, encrypt, log in, and ask whether it accepts mail from EMAIL_SENDER."""
    relay = settings.relay
    if relay is None:
        yield ok("relay", "none is set: mails stay in the local inbox, for development only")
        return
    steps = [name for name, _ in _STEPS]
    try:
        addresses = _addresses(relay)
    except OSError as exc:  # a TimeoutError too
        found = f"{relay.host} cannot be looked up ({exc.strerror or exc})"
        spelling = "the spelling of MAIL_SERVER, and " if settings.mail_server else ""
        yield error("relay name", found, f"check {spelling}this machine's DNS")
        yield from (skipped(name, "the relay's address is not known") for name in steps)
        return
    yield ok("relay name", f"{relay.host} resolves to {', '.join(addresses[:3])}{' …' if addresses[3:] else ''}")
    if relay.security != "none":
        yield _authorities(relay)
    yield from _talk(settings, relay, addresses)


def _addresses(relay: Relay) -> list[str]:
    """Return the relay's addresses. Raises OSError, or TimeoutError: the system's lookup can take a minute."""
    results: list[list[str] | OSError] = []

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(relay.host, relay.port, 0, socket.SOCK_STREAM)
            results.append(list(dict.fromkeys(str(address[0]) for *_, address in found)))
        except OSError as exc:
            results.append(exc)
        except UnicodeError as exc:  # a name with an empty or too long part
            results.append(OSError(str(exc)))

    thread = threading.Thread(target=look_up, name="lookup", daemon=True)
    thread.start()
    thread.join(LOOKUP_TIMEOUT)
    if not results:
        raise TimeoutError(f"no answer within {LOOKUP_TIMEOUT:g} s")
    if isinstance(results[0], OSError):
        raise results[0]
    return results[0]


def _authorities(relay: Relay) -> Finding:
    """Describe which authorities may sign the relay's certificate."""
    name = "CA certificates"
    if relay.ca_file:
        return ok(name, f"those in MAIL_CA_FILE, {relay.ca_file}")
    paths = ssl.get_default_verify_paths()
    if paths.cafile or (paths.capath and any(Path(paths.capath).iterdir())):
        return ok(name, f"the system's, in {paths.cafile or paths.capath}")
    advice = "install the package ca-certificates, or set MAIL_CA_FILE"
    return error(name, f"none in {paths.openssl_cafile} or {paths.openssl_capath}", advice)


def _talk(settings: Settings, relay: Relay, addresses: list[str]) -> Iterator[Finding]:
    reply_timeout = min(settings.mail_timeout, REPLY_TIMEOUT)
    mail = RelayMail(relay, settings.sender_domain, reply_timeout)
    session = mail.connect().host
    # `begin` allows READY_TIMEOUT_FACTOR reply timeouts for all stages together.
    session.begin(time.monotonic() + CONVERSATION_TIMEOUT - READY_TIMEOUT_FACTOR * reply_timeout)
    try:
        session.open()
        facts = _facts(relay, session)
        yield from facts
        session.try_sender(settings.sender_address)
        yield ok("sender", f"mail from {settings.sender_address} is accepted")
    except DeliveryFailure as exc:
        yield from _after_failure(settings, relay, session, exc, addresses)
    finally:
        with suppress(OSError):
            session.begin_quit()
        session.close()


def _facts(relay: Relay, session: RelaySMTP) -> list[Finding]:
    """Describe an open session."""
    sock: Any = session.sock
    login = "the relay accepts it" if relay.username else "no login is set, and the relay has not asked for one"
    found = f"port {relay.port} answers at {sock.getpeername()[0]}"
    return [ok("connection", found), _encryption(relay, sock), ok("login", login)]


def _encryption(relay: Relay, sock: Any) -> Finding:
    name = "encryption"
    if not isinstance(sock, ssl.SSLSocket):
        if sock.getpeername()[0] in ("127.0.0.1", "::1"):
            return ok(name, "none, to a relay on this machine")
        found = "none: anyone on the network path can read the mails"
        return warning(name, found, "set MAIL_USE_TLS=true if the relay supports it")
    certificate: Any = sock.getpeercert()
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    days = (ends - datetime.now(UTC)).days
    found = f"{sock.version()}, the certificate is trusted and expires in {days} days, on {ends:%Y-%m-%d}"
    if days < MIN_CERTIFICATE_DAYS:
        return warning(name, found, "the relay's operator must renew it; after that day no mail is sent")
    return ok(name, found)


def _after_failure(
    settings: Settings, relay: Relay, session: RelaySMTP, exc: DeliveryFailure, addresses: list[str]
) -> Iterator[Finding]:
    """Describe where a session failed, and which steps were therefore not checked."""
    names = [name for name, _ in _STEPS]
    failed = next((name for name, stages in _STEPS if exc.stage in stages), names[0])
    reply = f"{exc.code} {exc.text}" if exc.code else exc.text
    # These failures are temporary: the sender waits and sends later.
    passes = isinstance(exc, SlowDown | TooManyConnections | TryLater)
    status = Status.WARNING if passes else Status.ERROR
    yield Finding(failed, status, f"{relay.address}: {reply}", advise(settings, relay, exc, addresses))
    for name in names[names.index(failed) + 1 :]:
        yield skipped(name, f"{failed} failed")
