"""An SMTP server that counts and discards mails, with replies delayed by a simulated round-trip time.

All replies to one received segment are sent together, one round trip after it arrived. The greeting is delayed by two
round trips, because TCP's own handshake takes one, and the TLS handshake by one. Bandwidth, slow start and loss are not
simulated.

Run it as a process of its own: `python -m benchmarks.smtp_sink CERTIFICATE --log FILE`. It prints its port, and its
counters as JSON at SIGTERM. The log has a line for each mail: the time of the 250, the order id, the bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import re
import signal
import socket
import ssl
import time
from collections import Counter
from typing import TextIO, cast

USER, PASSWORD = "bench", "bench-password"
SIZE_LIMIT = 36_700_160

_END = b"\r\n.\r\n"
_FOLD = re.compile(rb"\r\n[ \t]+")
_VARIABLES = re.compile(rb'^X-MT-Custom-Variables:.*?"order_id":\s*"([^"]+)"', re.MULTILINE | re.IGNORECASE)
_SUBJECT = re.compile(rb"^Subject:.*?\b([A-Z]+-[\w-]*\d)", re.MULTILINE | re.IGNORECASE)


def order_id(message: bytes) -> str:
    """Return the order's id in X-MT-Custom-Variables, or else in the Subject; "" if there is none."""
    head = _FOLD.sub(b" ", message[: message.find(b"\r\n\r\n") + 2])
    found = _VARIABLES.search(head) or _SUBJECT.search(head)
    return found[1].decode() if found else ""


class SmtpSink:
    """State shared by all connections: the round-trip time in seconds, the certificate, the log and the counters."""

    def __init__(self, rtt: float, tls: ssl.SSLContext, log: TextIO) -> None:
        self.rtt = rtt
        self.tls = tls
        self.log = log
        #: connections, the most that were open at once, logins, mails, and the batches of replies that belong to mails.
        self.counts: Counter[str] = Counter()
        self.open_sessions: set[Session] = set()

    def note_mail(self, message: bytes) -> None:
        self.counts["mails"] += 1
        self.log.write(f"{time.time() + self.rtt:.6f}\t{order_id(message)}\t{len(message)}\n")
        self.log.flush()


class Session(asyncio.Protocol):
    """One connection. The same object starts again once TLS has begun."""

    def __init__(self, sink: SmtpSink) -> None:
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._received = bytearray()
        self._searched = 0
        self._replies: list[str] = []
        #: Replies to data that arrived together with the end of the TLS handshake.
        self._early = b""
        self._is_tls = self._is_authenticated = self._is_data = self._is_closing = False
        self._waits_for_credentials = self._is_about_mail = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._is_tls:
            self._sink.counts["connections"] += 1
            self._sink.open_sessions.add(self)
            self._sink.counts["most_open"] = max(self._sink.counts["most_open"], len(self._sink.open_sessions))
            self._socket = transport.get_extra_info("socket")
            self._loop.call_later(2 * self._sink.rtt, self._write, b"220 sink ESMTP\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        self._sink.open_sessions.discard(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        assert self._socket
        # A mail is a single segment on loopback, which the kernel would acknowledge late. On a network it is several.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        while not self._is_closing and (self._take_message() if self._is_data else self._take_command()):
            pass
        if self._replies:
            batch = "".join(f"{reply}\r\n" for reply in self._replies).encode()
            self._replies.clear()
            self._sink.counts["mail_round_trips"] += self._is_about_mail
            self._is_about_mail = False
            self._later(self._write, batch)
            if self._is_closing:
                self._later(self._close)

    def _later(self, call: object, *arguments: object) -> None:
        if self._sink.rtt:
            self._loop.call_later(self._sink.rtt, call, *arguments)  # type: ignore[arg-type]
        else:
            call(*arguments)  # type: ignore[operator]

    def _write(self, batch: bytes) -> None:
        if self._transport is None:
            self._early += batch
        elif not self._transport.is_closing():
            self._transport.write(batch)

    def _close(self) -> None:
        if self._transport:
            self._transport.close()

    def _take_message(self) -> bool:
        """Accept a complete message. Returns False when its end has not arrived yet."""
        if self._received.startswith(b".\r\n"):
            end, after = 0, 3
        else:
            end = self._received.find(_END, max(0, self._searched - len(_END)))
            after = end + len(_END)
        if end < 0:
            self._searched = len(self._received)
            return False
        self._sink.note_mail(bytes(self._received[:end]))
        self._drop(after)
        self._is_data = False
        self._mail_reply("250 2.0.0 Ok: queued")
        return True

    def _take_command(self) -> bool:
        end = self._received.find(b"\r\n")
        if end < 0:
            return False
        line = self._received[:end].decode("utf-8", "replace")
        self._drop(end + 2)
        if self._waits_for_credentials:
            self._waits_for_credentials = False
            self._log_in(line)
            return True
        verb = line.partition(" ")[0].upper()
        if verb in ("MAIL", "RCPT", "DATA"):
            self._take_envelope(verb)
        else:
            self._take_other(verb, line)
        return True

    def _take_envelope(self, verb: str) -> None:
        if not self._is_authenticated:
            self._mail_reply("530 5.7.0 Authentication required")
        elif verb == "DATA":
            self._is_data = True
            self._mail_reply("354 End data with <CR><LF>.<CR><LF>")
        else:
            self._mail_reply("250 2.1.0 Ok" if verb == "MAIL" else "250 2.1.5 Ok")

    def _take_other(self, verb: str, line: str) -> None:
        if verb == "EHLO":
            login = "250-AUTH PLAIN" if self._is_tls else "250-STARTTLS"
            self._replies += ["250-sink", "250-PIPELINING", f"250-SIZE {SIZE_LIMIT}", login, "250 8BITMIME"]
        elif verb == "STARTTLS" and not self._is_tls:
            self._begin_tls()
        elif verb == "AUTH" and self._is_tls:
            _, _, credentials = line.split(" ", 1)[1].partition(" ")
            if credentials:
                self._log_in(credentials)
            else:
                self._waits_for_credentials = True
                self._replies.append("334 ")
        elif verb == "QUIT":
            self._is_closing = True
            self._replies.append("221 2.0.0 Bye")
        else:
            self._replies.append("250 2.0.0 Ok" if verb in ("RSET", "NOOP") else "502 5.5.2 Not known")

    def _mail_reply(self, reply: str) -> None:
        self._is_about_mail = True
        self._replies.append(reply)

    def _drop(self, count: int) -> None:
        del self._received[:count]
        self._searched = 0

    def _log_in(self, credentials: str) -> None:
        parts = base64.b64decode(credentials).decode().split("\0")
        self._is_authenticated = parts[1:] == [USER, PASSWORD]
        self._sink.counts["logins"] += self._is_authenticated
        self._replies.append("235 2.7.0 Ok" if self._is_authenticated else "535 5.7.8 Authentication failed")

    def _begin_tls(self) -> None:
        """Reply, and read the client's part of the handshake one round trip after it arrived."""
        assert self._transport
        self._transport.pause_reading()
        self._later(self._write, b"220 2.0.0 Ready to start TLS\r\n")
        self._loop.call_later(2 * self._sink.rtt, lambda: self._loop.create_task(self._start_tls()))

    async def _start_tls(self) -> None:
        self._is_tls = True
        transport, self._transport = self._transport, None
        if transport is None or transport.is_closing():
            return
        try:
            self._transport = await self._loop.start_tls(transport, self, self._sink.tls, server_side=True)
        except OSError:  # the client has disconnected
            transport.abort()
        else:
            self._write(self._early)
            self._early = b""


async def serve(rtt: float, certificate: str, log: TextIO, port: int) -> dict[str, int]:
    """Serve until SIGTERM and return the counters."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    sink = SmtpSink(rtt, tls, log)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, lambda: print(json.dumps(sink.counts), flush=True))
    server = await loop.create_server(lambda: Session(sink), "127.0.0.1", port, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stop.wait()
    server.close()
    return dict(sink.counts)


def main() -> None:
    parser = argparse.ArgumentParser(description="Accept mails and count them.")
    parser.add_argument("certificate", help="PEM file of the certificate and its key")
    parser.add_argument("--log", required=True, help="file with one line per mail")
    parser.add_argument("--rtt", type=float, default=0.0, help="milliseconds")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    with open(options.log, "a", encoding="ascii") as log:
        counts = asyncio.run(serve(options.rtt / 1000, options.certificate, log, options.port))
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main()
