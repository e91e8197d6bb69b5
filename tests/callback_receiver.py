"""A shop's callback receiver: a real HTTP server that keeps what it receives and responds as a test says."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRETS = ("whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", "whsec_" + "b3RoZXItc2VjcmV0LW9mLTI0LWJ5dGVz")


@dataclass
class Receiver:
    """`respond` returns the status and the headers of the response to a request's path."""

    url: str = ""
    respond: Callable[[str], tuple[int, Mapping[str, str]]] = lambda path: (200, {})
    #: The path, the headers and the body of each request.
    received: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for _, headers, _ in self.received]


@contextmanager
def callback_receiver(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Run a receiver, by HTTPS if there is a TLS context."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.received.append((self.path, {name.lower(): text for name, text in self.headers.items()}, body))
            status, headers = receiver.respond(self.path)
            self.send_response(status)
            for name, text in headers.items():
                self.send_header(name, text)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        receiver.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}/callback"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
