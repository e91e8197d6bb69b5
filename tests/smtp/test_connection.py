"""The SMTP conversation with real servers: TLS, logins, refusals, cut connections."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime

import pytest
import trustme
from flask import Flask
from smtp_server import PASSWORD, USER, Sink, smtp_server

from orderconfirm.errors import (
    DeliveryFailure,
    Refused,
    RelayMisconfigured,
    RelayTrouble,
    SlowDown,
    TooManyConnections,
    TryLater,
    UnknownOutcome,
)
from orderconfirm.models import Email
from orderconfirm.settings import Relay
from orderconfirm.smtp import pool
from orderconfirm.smtp.message import OrderMessage
from orderconfirm.smtp.pool import ConnectionPool
from orderconfirm.smtp.relay_mail import RelayMail

Send = Callable[[], tuple[int, str]]


def message() -> OrderMessage:
    return OrderMessage(
        Email("Order", "text\n.dot\n", "<p>html</p>"),
        sender=("Acme, Inc.", "orders@acme.example"),
        recipient=("Jane", "jane@example.com"),
        reply_to="help@acme.example",
        message_id="<1@acme.example>",
        date=datetime(2025, 3, 15, tzinfo=UTC),
        headers={},
    )


@contextmanager
def sender(relay: Relay, max_mails: int = 100, timeout: float = 2) -> Iterator[Send]:
    connections = ConnectionPool(RelayMail(relay, "acme.example", timeout).connect, max_mails)
    with Flask("test").app_context():
        yield lambda: connections.send(message())
    connections.close_idle(older_than=0)


def plain(port: int) -> Relay:
    return Relay("127.0.0.1", port, "none")


def test_one_connection_carries_many_mails(sink: tuple[Sink, int]) -> None:
    kept, port = sink
    with sender(plain(port)) as send:
        assert [send() for _ in range(5)] == [(250, "2.0.0 Ok: queued")] * 5
    assert len(kept.mails) == 5
    assert len(kept.sessions) == 1


def test_no_connection_is_opened_before_the_relay_has_closed_the_one_that_it_replaces(
    server_tls: ssl.SSLContext, ca_file: str
) -> None:
    threads = 3
    with smtp_server(server_tls) as (kept, port), ThreadPoolExecutor(threads) as pool_of_threads:
        relay = Relay("localhost", port, "starttls", USER, PASSWORD, ca_file)
        with sender(relay, max_mails=1) as send:
            for sent in [pool_of_threads.submit(with_context, send) for _ in range(60)]:
                assert sent.result()[0] == 250
    assert (len(kept.mails), kept.most_open) == (60, threads)


def with_context(send: Send) -> tuple[int, str]:
    with Flask("test").app_context():
        return send()


def test_a_relay_that_does_not_close_after_quit_is_left_after_a_while(
    sink: tuple[Sink, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "QUIT_SECONDS", 0.1)
    kept, port = sink
    kept.held_at = "QUIT"
    with sender(plain(port), max_mails=1) as send:
        assert [send()[0] for _ in range(3)] == [250] * 3
    kept.held_at = None


def test_a_connection_is_renewed_after_its_share_of_mails(sink: tuple[Sink, int]) -> None:
    kept, port = sink
    with sender(plain(port), max_mails=2) as send:
        for _ in range(5):
            send()
    assert len(kept.sessions) >= 2
    assert len(kept.mails) == 5


def test_dots_at_line_starts_arrive_as_they_were(sink: tuple[Sink, int]) -> None:
    kept, port = sink
    with sender(plain(port)) as send:
        send()
    assert b"\r\n.dot\r\n" in kept.mails[0]


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # it cannot know of implicit TLS
@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "tls"])
def test_a_relay_with_tls_and_login_takes_the_mail(server_tls: ssl.SSLContext, ca_file: str, implicit: bool) -> None:
    with smtp_server(server_tls, implicit) as (kept, port):
        security = "tls" if implicit else "starttls"
        with sender(Relay("localhost", port, security, USER, PASSWORD, ca_file)) as send:
            assert send()[0] == 250
        assert kept.logins == [(USER.encode(), PASSWORD.encode())]
        assert len(kept.mails) == 1


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # it cannot know of implicit TLS
@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "tls"])
def test_no_password_leaves_for_an_untrusted_certificate(server_tls: ssl.SSLContext, implicit: bool) -> None:
    with smtp_server(server_tls, implicit) as (kept, port):
        with sender(Relay("localhost", port, "tls" if implicit else "starttls", USER, PASSWORD)) as send:
            with pytest.raises(RelayMisconfigured, match="certificate is not trusted"):
                send()
        assert (kept.logins, kept.mails) == ([], [])


def test_a_certificate_for_another_host_is_not_trusted(ca_file: str, authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(context)
    with smtp_server(context) as (kept, port):
        with sender(Relay("localhost", port, "starttls", USER, PASSWORD, ca_file)) as send:
            with pytest.raises(RelayMisconfigured):
                send()
        assert kept.logins == []


def test_a_relay_without_starttls_gets_no_password(sink: tuple[Sink, int]) -> None:
    kept, port = sink
    with sender(Relay("127.0.0.1", port, "starttls", USER, PASSWORD)) as send:
        with pytest.raises(RelayMisconfigured, match="does not offer STARTTLS"):
            send()
    assert (kept.logins, kept.mails) == ([], [])


def test_a_wrong_password_is_tried_once_and_reported_as_misconfigured(server_tls: ssl.SSLContext, ca_file: str) -> None:
    with smtp_server(server_tls) as (kept, port):
        with sender(Relay("localhost", port, "starttls", USER, "wrong", ca_file)) as send:
            with pytest.raises(RelayMisconfigured) as caught:
                send()
        assert (caught.value.stage, caught.value.code) == ("auth", 535)
        assert len(kept.logins) == 1


@pytest.mark.parametrize(
    ("stage", "reply", "kind"),
    [
        ("MAIL", "451 4.3.0 try later", TryLater),
        ("MAIL", "550 5.7.1 Sending from domain acme.example is not allowed", RelayMisconfigured),
        ("RCPT", "450 4.2.1 mailbox busy", TryLater),
        ("RCPT", "550 5.1.1 no such user", Refused),
        ("DATA", "451 4.3.0 try later", TryLater),
        ("DATA", "554 5.6.0 not this one", Refused),
        ("DATA", "550 5.7.0 Requested action not taken: too many emails per second", SlowDown),
        ("MAIL", "550 Too many connections", TooManyConnections),
    ],
)
def test_a_refusal_is_read_and_the_connection_serves_the_next_mail(
    sink: tuple[Sink, int], stage: str, reply: str, kind: type[DeliveryFailure]
) -> None:
    kept, port = sink
    with sender(plain(port)) as send:
        send()
        kept.replies[stage] = [reply]
        with pytest.raises(kind) as caught:
            send()
        assert type(caught.value) is kind
        assert send()[0] == 250
    assert len(kept.mails) == 2
    assert len(kept.sessions) == 1


def test_a_connection_cut_after_the_final_dot_leaves_the_outcome_unknown(sink: tuple[Sink, int]) -> None:
    kept, port = sink
    kept.disconnect_after_end_of_data = True
    with sender(plain(port)) as send:
        with pytest.raises(UnknownOutcome):
            send()
    assert len(kept.mails) == 1


def test_a_kept_connection_that_died_is_replaced_without_a_word() -> None:
    with ExitStack() as first:
        _, port = first.enter_context(smtp_server())
        with sender(plain(port)) as send:
            send()
            first.close()  # the relay restarts: the kept connection is dead, the port answers again
            with smtp_server(port=port) as (kept, _):
                assert send()[0] == 250
                assert len(kept.mails) == 1


def test_a_quit_that_fails_says_nothing_about_the_mail_before_it() -> None:
    with ExitStack() as server:
        kept, port = server.enter_context(smtp_server())
        with sender(plain(port)) as send:
            assert send() == (250, "2.0.0 Ok: queued")
            server.close()  # QUIT, at the end of this block, meets a dead connection
        assert len(kept.mails) == 1


def test_a_refused_connection_is_the_relay_s_trouble() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with sender(plain(unused.getsockname()[1])) as send:
            with pytest.raises(RelayTrouble) as caught:
                send()
    assert caught.value.stage == "connect"


@pytest.mark.parametrize(
    ("greeting", "stage"), [(b"", "banner"), (b"220 hello\r\n", "ehlo"), (b"554 no service\r\n", "banner")]
)
def test_a_silent_or_unwilling_relay_is_given_up_in_time(greeting: bytes, stage: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def greet() -> None:
            connection, _ = server.accept()
            connection.sendall(greeting)
            taken.append(connection)

        thread = threading.Thread(target=greet)
        thread.start()
        with sender(plain(server.getsockname()[1]), timeout=0.3) as send:
            with pytest.raises(RelayTrouble) as caught:
                send()
        thread.join(40)
        taken[0].close()
    assert caught.value.stage == stage


@contextmanager
def scripted_server(*lines: bytes, pause: float = 0.0) -> Iterator[int]:
    """A server that greets, then answers each thing it hears with the next of `lines`, a byte every `pause` seconds."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            server.settimeout(5)
            with suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.settimeout(5)
                    for line in lines:
                        for byte in (line[i : i + 1] for i in range(len(line))) if pause else [line]:
                            connection.sendall(byte)
                            time.sleep(pause)
                        if not connection.recv(100_000):
                            return
                    connection.recv(100_000)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
    thread.join(40)
    assert not thread.is_alive()


def test_a_relay_that_dribbles_its_reply_is_given_up_in_time() -> None:
    with scripted_server(b"220 " + b"x" * 1000 + b"\r\n", pause=0.05) as port:
        with sender(plain(port), timeout=0.3) as send:
            began = time.monotonic()
            with pytest.raises(RelayTrouble) as caught:
                send()
            assert time.monotonic() - began < 2
    assert caught.value.stage == "banner"


def test_a_reply_of_endless_lines_is_given_up_before_it_fills_the_memory() -> None:
    with scripted_server(b"220-hello\r\n" * 20_000) as port:
        with sender(plain(port), timeout=5) as send:
            with pytest.raises(RelayTrouble, match="more than 65536 bytes"):
                send()


def test_of_a_long_reply_the_beginning_is_kept() -> None:
    long = b"550-5.1.1 <john.doe@example.com> no such user\r\n" * 1000 + b"550 5.1.1 try elsewhere\r\n"
    with scripted_server(b"220 x\r\n", b"250 x\r\n", b"250 x\r\n", long) as port:
        with sender(plain(port)) as send:
            with pytest.raises(Refused) as caught:
                send()
    assert caught.value.text.startswith("5.1.1 <john.doe@example.com> no such user 5.1.1")
    assert 1900 < len(caught.value.text) <= 2000
    assert caught.value.text.count("<") == caught.value.text.count("@example.com>")


def test_a_relay_that_is_slow_at_every_step_is_given_up_before_the_dot() -> None:
    slow = [b"220 x\r\n", b"250 x\r\n", b"250 x\r\n", b"250 x\r\n", b"354 x\r\n"]
    with scripted_server(*slow, pause=0.08) as port:
        with sender(plain(port), timeout=0.6) as send:
            began = time.monotonic()
            with pytest.raises(DeliveryFailure, match="timed out"):
                send()
            assert time.monotonic() - began < 5 * 0.6


@pytest.mark.parametrize("answer", [b"hello?\r\n", b"354 go on\r\n", b"999 what\r\n", b"250-" + b"x" * 9000 + b"\r\n"])
def test_an_answer_to_the_final_dot_that_is_none_leaves_the_outcome_unknown(answer: bytes) -> None:
    with scripted_server(b"220 x\r\n", b"250 x\r\n", b"250 x\r\n", b"250 x\r\n", b"354 x\r\n", answer) as port:
        with sender(plain(port)) as send:
            with pytest.raises(UnknownOutcome):
                send()


def test_a_kept_connection_that_is_sent_away_is_replaced_without_an_attempt(sink: tuple[Sink, int]) -> None:
    kept, port = sink
    with sender(plain(port)) as send:
        send()
        for stage in ("MAIL", "RCPT", "DATA"):
            kept.replies[stage] = ["421 4.3.2 Closing"]
            assert send()[0] == 250
    assert len(kept.mails) == 4


def test_a_fresh_connection_that_is_sent_away_is_trouble(sink: tuple[Sink, int]) -> None:
    kept, port = sink
    kept.replies["MAIL"] = ["421 4.3.2 Closing"]
    with sender(plain(port)) as send:
        with pytest.raises(RelayTrouble):
            send()


@pytest.mark.parametrize(("stage", "kind"), [("MAIL", RelayTrouble), ("RCPT", TryLater), ("DOT", UnknownOutcome)])
def test_a_send_that_is_cut_off_says_how_far_it_came(
    sink: tuple[Sink, int], stage: str, kind: type[DeliveryFailure]
) -> None:
    kept, port = sink
    pool = ConnectionPool(RelayMail(plain(port), "acme.example", 10).connect, 100)
    kept.held_at = stage
    with Flask("test").app_context() as context:
        with ThreadPoolExecutor(1) as thread:

            def send() -> None:
                with context.app.app_context():
                    pool.send(message())

            sending = thread.submit(send)
            assert kept.reached.wait(40)
            pool.abort()
            with pytest.raises(kind):
                sending.result(40)
    kept.held_at = None


def test_after_a_refused_login_kept_connections_are_not_used_again(server_tls: ssl.SSLContext, ca_file: str) -> None:
    with smtp_server(server_tls) as (kept, port):
        pool = ConnectionPool(
            RelayMail(Relay("localhost", port, "starttls", USER, PASSWORD, ca_file), "acme.example", 5).connect, 100
        )
        with Flask("test").app_context():
            pool.send(message())
            kept.password = "changed"
            [warm] = pool._idle
            pool._idle.clear()  # another mail is using it
            with pytest.raises(RelayMisconfigured):
                pool.send(message())
            pool._give_back(warm)
            with pytest.raises(RelayMisconfigured):
                pool.send(message())
    assert len(kept.mails) == 1
