from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
import trustme
from callback_receiver import Receiver, callback_receiver

from orderconfirm.callbacks import http_post
from orderconfirm.callbacks.http_post import Poster


@pytest.fixture
def receiver(server_tls: ssl.SSLContext) -> Iterator[Receiver]:
    """A receiver whose certificate is valid for localhost and 127.0.0.1."""
    with callback_receiver(server_tls) as receiver:
        yield receiver


@pytest.fixture
def trusting(ca_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system trusts the authority of the receiver's certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)


@pytest.mark.usefixtures("trusting")
def test_a_callback_is_posted_by_https(receiver: Receiver) -> None:
    url = receiver.url.replace("127.0.0.1", "localhost")

    response = Poster(allow_private=True).post(f"{url}?shop=1", b'{"type":"mail.sent"}', {"webhook-id": "1"})

    assert response.status == 200
    [(path, headers, body)] = receiver.received
    assert (path, body, headers["webhook-id"]) == ("/callback?shop=1", b'{"type":"mail.sent"}', "1")
    assert headers["host"] == url.split("/")[2]


@pytest.mark.usefixtures("trusting")
def test_a_certificate_for_another_name_is_refused(authority: trustme.CA) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("shop.example").configure_cert(tls)
    with callback_receiver(tls) as receiver:
        response = Poster(allow_private=True).post(receiver.url, b"{}", {})

    assert response.status is None
    assert "IP address mismatch" in response.reason
    assert receiver.received == []


def test_a_certificate_of_an_unknown_authority_is_refused(receiver: Receiver) -> None:
    response = Poster(allow_private=True).post(receiver.url, b"{}", {})

    assert response.status is None
    assert "certificate verify failed" in response.reason
    assert receiver.received == []


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"], ids=["nothing", "half"])
def test_a_receiver_that_stops_responding_costs_only_the_time_limit(
    says: bytes, server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_post, "TIMEOUT", 1.0)
    is_over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def receive() -> None:
            with server_tls.wrap_socket(listener.accept()[0], server_side=True) as connection:
                connection.sendall(says)
                is_over.wait(20)

        thread = threading.Thread(target=receive)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/callback"
        response = Poster(allow_private=True).post(url, b"{}", {})
        is_over.set()
        thread.join()

    # Only the status counts, and that has arrived.
    assert (response.status, response.reason) == ((200, "") if says else (None, "no response within 1 s"))
