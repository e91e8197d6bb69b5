"""A relay that replies as a script says and logs every command."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

#: What a script may ask for instead of a reply: no further one over this connection, or its end.
SILENCE, CLOSE = "silence", "close"

#: The number of a MAIL command on this relay, counted from 1, and the stage of its message: mail, rcpt, data or end.
Script = Mapping[tuple[int, str], str]


class ScriptedRelay:
    """Takes messages over any number of connections, one thread for each.

    `log` has each command with its connection's number. `received` has the recipient and the content of each message
    whose final dot came, `accepted` those that got a 2xx reply. Commands that are unknown are in `strange`. With
    `overlaps`, the reply to the first final dot is held back until another DATA has come. With `splits`, each reply
    leaves byte by byte.
    """

    def __init__(
        self,
        script: Script | None = None,
        extensions: tuple[str, ...] = ("PIPELINING", "SIZE 1000000"),
        overlaps: bool = False,
        splits: bool = False,
        tls: ssl.SSLContext | None = None,
        plain_extensions: tuple[str, ...] = (),
    ) -> None:
        self.script = dict(script or {})
        self.extensions = extensions
        self.overlaps = overlaps
        self.splits = splits
        self.tls = tls
        self.plain_extensions = plain_extensions
        self.log: list[tuple[int, str]] = []
        self.received: list[tuple[str, bytes]] = []
        self.accepted: list[str] = []
        self.strange: list[str] = []
        self.connections = 0
        self.mails = 0
        self.opened: list[socket.socket] = []
        self.lock = threading.Lock()
        #: Set at the end of each connection, in order.
        self.ended = threading.Condition()
        self.ends: list[int] = []

    def commands(self, connection: int) -> list[str]:
        """The verbs that came over a connection."""
        return [line.split()[0].split(":")[0].upper() for number, line in self.log if number == connection]

    def wait_for_end(self, connection: int) -> None:
        """Wait until the client has closed a connection, or this relay has."""
        with self.ended:
            assert self.ended.wait_for(lambda: connection in self.ends, 10)


class _Session:
    """One connection."""

    def __init__(self, relay: ScriptedRelay, sock: socket.socket, number: int) -> None:
        self._relay, self._sock, self._number = relay, sock, number
        self._buffer = b""
        self._pending = b""
        self._recipient = ""
        self._mail = 0
        self._has_sender = self._has_recipient = self._is_over = self._is_silent = False

    def run(self) -> None:
        sock = self._sock
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._send("220 relay ready")
            while not self._is_over and (line := self._line()) is not None:
                with self._relay.lock:
                    self._relay.log.append((self._number, line))
                self._handle(line)
        self._sock.close()
        with self._relay.ended:
            self._relay.ends.append(self._number)
            self._relay.ended.notify_all()

    def _handle(self, line: str) -> None:
        verb = line.upper().split(" ")[0].split(":")[0]
        if verb == "EHLO":
            is_plain = self._relay.tls is not None and not isinstance(self._sock, ssl.SSLSocket)
            lines = ["relay", *(("STARTTLS", *self._relay.plain_extensions) if is_plain else self._relay.extensions)]
            self._send("\r\n".join([f"250-{each}" for each in lines[:-1]] + [f"250 {lines[-1]}"]))
        elif verb == "STARTTLS" and self._relay.tls:
            self._send("220 go")
            self._sock = self._relay.tls.wrap_socket(self._sock, server_side=True)
        elif verb == "MAIL":
            with self._relay.lock:
                self._relay.mails += 1
                self._mail = self._relay.mails
            self._has_sender = self._has_recipient = False
            self._has_sender = self._reply("mail", "250 2.1.0 Ok").startswith("25")
        elif verb == "RCPT":
            self._recipient = line.partition("<")[2].partition(">")[0]
            reply = self._reply("rcpt", "250 2.1.5 Ok" if self._has_sender else "503 5.5.1 need MAIL")
            self._has_recipient = reply.startswith("25")
        elif verb == "DATA":
            default = "354 go ahead" if self._has_recipient else "554 5.5.1 no valid recipients"
            if self._reply("data", default).startswith("354"):
                self._take_content()
        elif verb in ("RSET", "NOOP"):
            self._send("250 2.0.0 Ok")
        elif verb == "QUIT":
            self._send("221 2.0.0 Bye")
            self._is_over = True
        else:
            self._relay.strange.append(line)
            self._send("500 5.5.2 unknown")

    def _take_content(self) -> None:
        lines = []
        while (line := self._line()) is not None:
            if line == ".":
                self._end_message("".join(f"{each}\r\n" for each in lines).encode("latin-1"))
                return
            lines.append(line)

    def _end_message(self, content: bytes) -> None:
        relay = self._relay
        with relay.lock:
            relay.log.append((self._number, "."))
            relay.received.append((self._recipient, content))
        reply = relay.script.get((self._mail, "end"), "250 2.0.0 queued")
        if reply.startswith("2"):
            relay.accepted.append(self._recipient)
        if relay.overlaps and len(relay.received) == 1:
            self._pending = f"{reply}\r\n".encode()
        else:
            self._act(reply)

    def _reply(self, stage: str, default: str) -> str:
        reply = self._relay.script.get((self._mail, stage), default)
        self._act(reply, is_held=bool(self._pending) and stage != "data")
        return reply

    def _act(self, reply: str, is_held: bool = False) -> None:
        if reply == SILENCE:
            self._flush()
            self._is_silent = True
        elif reply != CLOSE:
            self._pending += f"{reply}\r\n".encode()
        self._is_over = reply == CLOSE or reply.startswith("421")
        if not is_held or self._is_over:
            self._flush()

    def _send(self, reply: str) -> None:
        self._pending += f"{reply}\r\n".encode()
        self._flush()

    def _flush(self) -> None:
        data, self._pending = self._pending, b""
        if self._is_silent:
            return
        for piece in [data[at : at + 1] for at in range(len(data))] if self._relay.splits else [data]:
            self._sock.sendall(piece)

    def _line(self) -> str | None:
        while b"\r\n" not in self._buffer:
            part = self._sock.recv(65536)
            if not part:
                return None
            self._buffer += part
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line.decode("latin-1")


@contextmanager
def running(relay: ScriptedRelay) -> Iterator[int]:
    """Run `relay` and yield its port."""
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    sock, _ = listener.accept()
                    sock.settimeout(20)
                    relay.connections += 1
                    relay.opened.append(sock)
                    session = _Session(relay, sock, relay.connections)
                    threads.append(threading.Thread(target=session.run))
                    threads[-1].start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join(40)
            for sock in relay.opened:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(40)
