"""A POST to a shop's URL: to a public address that is looked up once, within a total time, and without redirects."""

from __future__ import annotations

import io
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import cached_property
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import SplitResult, urlsplit

from orderconfirm.callbacks.schedule import Response
from orderconfirm.settings.public_addresses import is_public

#: Seconds for a POST, from the connection to the end of the response. How long the lookup of the name takes before it
#: is limited by the system's resolver, usually to half a minute.
TIMEOUT = 15.0
#: Bytes of the response's body that are read, so that the endpoint can finish it. They are not used.
MAX_BODY_BYTES = 16_384


class Poster:
    """Posts to URLs. Redirects are not followed, and no proxy is used."""

    def __init__(self, allow_private: bool) -> None:
        """With `allow_private`, the addresses need not be public."""
        self._allow_private = allow_private

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """The system's certificate authorities, which are only loaded if a shop has a callback by HTTPS."""
        return ssl.create_default_context()

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """Post `body` and return the response, which has no status when the endpoint could not be asked."""
        parts = urlsplit(url)
        try:
            addresses = _look_up(parts)
            if not self._allow_private and not all(is_public(str(each[4][0])) for each in addresses):
                return Response(None, "not posted: the name has an address that is not public")
            tls = self._tls if parts.scheme == "https" else None
            connection = _Connection(parts, addresses, tls, time.monotonic() + TIMEOUT)
            try:
                connection.request("POST", _target(parts), body, dict(headers))
                response = connection.getresponse()
                retry_after = _seconds(response.getheader("Retry-After"), time.time())
                with suppress(OSError, HTTPException):  # the status is known
                    response.read(MAX_BODY_BYTES)
                return Response(response.status, retry_after=retry_after)
            finally:
                connection.close()
        except TimeoutError:
            return Response(None, f"no response within {TIMEOUT:g} s")
        except (OSError, HTTPException, ValueError) as exc:
            return Response(None, f"{type(exc).__name__}: {exc}")


class _Connection(HTTPConnection):
    """A connection to one of the addresses that were checked, with the name in Host, SNI and certificate."""

    def __init__(self, parts: SplitResult, addresses: list[Any], tls: ssl.SSLContext | None, deadline: float) -> None:
        super().__init__(str(parts.hostname), _port(parts))
        self.default_port = 443 if tls else 80  # so that Host names only another one
        self._addresses = addresses
        self._tls = tls
        self._deadline = deadline

    def connect(self) -> None:
        sock = self._connect_to_any()
        if self._tls is not None:
            try:
                sock = self._tls.wrap_socket(sock, server_hostname=self.host)
            except BaseException:
                sock.close()
                raise
        self.sock = _TimedSocket(sock, self._deadline)

    def _connect_to_any(self) -> socket.socket:
        failure: OSError = OSError("the name has no address")
        for number, (family, kind, protocol, _, address) in enumerate(self._addresses):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(_left(self._deadline) / (len(self._addresses) - number))
                sock.connect(address)
                sock.settimeout(_left(self._deadline))
                return sock
            except OSError as exc:
                sock.close()
                failure = exc
        raise failure


class _TimedSocket:
    """The part of a socket that http.client uses, with one time limit for everything."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: Any) -> None:
        self._sock.settimeout(_left(self._deadline))
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedStream(self._sock, self._deadline))

    def close(self) -> None:
        self._sock.close()


class _TimedStream(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(_left(self._deadline))
        return self._sock.recv_into(buffer)


def _look_up(parts: SplitResult) -> list[Any]:
    return socket.getaddrinfo(parts.hostname, _port(parts), 0, socket.SOCK_STREAM)


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _target(parts: SplitResult) -> str:
    return f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"


def _left(deadline: float) -> float:
    """Return the seconds until the monotonic time `deadline`. Raises TimeoutError when it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _seconds(retry_after: str | None, now: float) -> float | None:
    """Return the seconds of a Retry-After header, which may be a date (RFC 9110 section 10.2.3)."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:10])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now) if text else None
    except (ValueError, OverflowError, TypeError):
        return None
