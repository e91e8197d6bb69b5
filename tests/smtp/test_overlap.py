"""The overlap of a message's end with the next message's envelope, with a relay that replies as a script says."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from flask import Flask
from processes import wait_until
from scripted_relay import CLOSE, SILENCE, ScriptedRelay, running

from orderconfirm.errors import DeliveryFailure, Refused, TryLater, UnknownOutcome
from orderconfirm.models import Email
from orderconfirm.settings import Relay
from orderconfirm.smtp.message import OrderMessage
from orderconfirm.smtp.pool import ConnectionPool
from orderconfirm.smtp.relay_mail import RelayMail

#: Seconds for each reply; four times as long for that to the end of a message.
TIMEOUT = 0.3
SENT = "sent"
A, B, C, D = "a@example.com", "b@example.com", "c@example.com", "d@example.com"


def message(recipient: str) -> OrderMessage:
    return OrderMessage(
        Email("Order", f"for {recipient}\n.dot\n", "<p>html</p>"),
        sender=("Acme", "orders@acme.example"),
        recipient=("Jane", recipient),
        reply_to="help@acme.example",
        message_id=f"<{recipient}>",
        date=datetime(2025, 3, 15, tzinfo=UTC),
        headers={},
    )


@contextmanager
def pool_to(
    relay: ScriptedRelay, security: str = "none", ca_file: str | None = None, max_mails: int = 100, timeout: float = 5
) -> Iterator[ConnectionPool]:
    with running(relay) as port, Flask("test").app_context():
        target = Relay("127.0.0.1", port, security, ca_file=ca_file)
        pool = ConnectionPool(RelayMail(target, "acme.example", timeout).connect, max_mails)
        yield pool
        pool.close_idle(older_than=0)


def outcome(send: Callable[[], tuple[int, str]]) -> str | type[DeliveryFailure]:
    """Return SENT, or the class of the failure."""
    try:
        assert 200 <= send()[0] < 300
    except DeliveryFailure as exc:
        return type(exc)
    return SENT


def exchange(relay: ScriptedRelay, *recipients: str, timeout: float = TIMEOUT, max_mails: int = 100) -> list[object]:
    """Send a message to each of `recipients`, each announced with the end of the one before it."""
    messages = [message(recipient) for recipient in recipients]
    with pool_to(relay, timeout=timeout, max_mails=max_mails) as pool:
        return [
            outcome(lambda pair=pair: pool.send(*pair))  # type: ignore[misc]
            for pair in zip(messages, [*messages[1:], None], strict=True)
        ]


FULL = ["MAIL", "RCPT", "DATA", "."]

#: Each reply with what becomes of a message that gets it, and whether the connection is used again, for the end of a
#: message, MAIL, RCPT and DATA. With "again", the message is sent over a new connection.
REPLIES: dict[str, tuple[tuple[object, bool], tuple[object, bool], tuple[object, bool], tuple[object, bool]]] = {
    "250 2.0.0 fine": ((SENT, True), (SENT, True), (SENT, True), (TryLater, True)),
    "251 2.1.5 forwarded": ((SENT, True), (SENT, True), (SENT, True), (TryLater, True)),
    "354 go ahead": ((UnknownOutcome, False), (TryLater, True), (TryLater, True), (SENT, True)),
    "421 4.3.2 closing": ((TryLater, False), ("again", False), ("again", False), ("again", False)),
    "450 4.2.0 not now": ((TryLater, True), (TryLater, True), (TryLater, True), (TryLater, True)),
    "451 4.3.0 not now": ((TryLater, True), (TryLater, True), (TryLater, True), (TryLater, True)),
    "550 5.1.1 nobody": ((Refused, True), (Refused, True), (Refused, True), (Refused, True)),
    "552 5.3.4 too big": ((Refused, True), (Refused, True), (Refused, True), (Refused, True)),
    "554 5.6.0 no": ((Refused, True), (Refused, True), (Refused, True), (Refused, True)),
    "hello?": ((UnknownOutcome, False), ("again", False), ("again", False), ("again", False)),
    "999 what": ((UnknownOutcome, False), ("again", False), ("again", False), ("again", False)),
    SILENCE: ((UnknownOutcome, False), ("again", False), ("again", False), ("again", False)),
    CLOSE: ((UnknownOutcome, False), ("again", False), ("again", False), ("again", False)),
}


def assert_in_order(relay: ScriptedRelay, results: list[object], recipients: list[str]) -> None:
    """Assert that the relay accepted each sent message once and no other, and got no content in place of a command."""
    sent = [recipient for recipient, result in zip(recipients, results, strict=True) if result == SENT]
    assert relay.accepted == sent
    assert relay.strange == []
    assert all(f"for {recipient}".encode() in content for recipient, content in relay.received)


@pytest.mark.parametrize("overlaps", [False, True], ids=["at once", "behind the envelope"])
@pytest.mark.parametrize("reply", REPLIES)
def test_any_reply_to_the_first_message_leaves_the_announced_one_to_be_sent_once(reply: str, overlaps: bool) -> None:
    expected, is_kept = REPLIES[reply][0]
    relay = ScriptedRelay({(1, "end"): reply}, overlaps=overlaps)
    results = exchange(relay, A, B, C)
    assert results == [expected, SENT, SENT]
    assert [recipient for recipient, _ in relay.received] == [A, B, C]
    assert relay.connections == (1 if is_kept else 2)
    assert_in_order(relay, results, [A, B, C])


@pytest.mark.parametrize("overlaps", [False, True], ids=["at once", "behind the envelope"])
@pytest.mark.parametrize(("place", "stage"), [(1, "mail"), (2, "rcpt"), (3, "data")])
@pytest.mark.parametrize("reply", REPLIES)
def test_any_reply_to_the_announced_envelope_concerns_that_message_alone(
    reply: str, place: int, stage: str, overlaps: bool
) -> None:
    expected, is_kept = REPLIES[reply][place]
    relay = ScriptedRelay({(2, stage): reply}, overlaps=overlaps)
    results = exchange(relay, A, B, C)
    assert results == [SENT, SENT if expected == "again" else expected, SENT]
    assert relay.connections == (1 if is_kept else 2)
    assert_in_order(relay, results, [A, B, C])
    assert len(relay.received) == len(relay.accepted)


@pytest.mark.parametrize("reply", REPLIES)
def test_any_reply_to_the_end_of_the_announced_message_concerns_that_message_alone(reply: str) -> None:
    expected, is_kept = REPLIES[reply][0]
    if reply.startswith("421"):
        expected = SENT  # over a new connection: the relay has refused it on the kept one
    relay = ScriptedRelay({(2, "end"): reply})
    results = exchange(relay, A, B, C)
    assert results == [SENT, expected, SENT]
    assert relay.connections == (1 if is_kept else 2)
    assert_in_order(relay, results, [A, B, C])


def test_the_envelope_leaves_before_the_reply_to_the_message_in_front_of_it() -> None:
    relay = ScriptedRelay(overlaps=True)
    assert exchange(relay, A, B) == [SENT, SENT]
    assert relay.commands(1) == ["EHLO", *FULL, *FULL, "QUIT"]


@pytest.mark.parametrize("reply", ["450 4.2.0 not now", "550 5.1.1 nobody"])
@pytest.mark.parametrize("stage", ["mail", "rcpt", "data"])
def test_a_refused_envelope_is_reset_before_the_next_message(stage: str, reply: str) -> None:
    relay = ScriptedRelay({(2, stage): reply})
    exchange(relay, A, B, C)
    assert relay.commands(1) == ["EHLO", *FULL, "MAIL", "RCPT", "DATA", "RSET", *FULL, "QUIT"]


@pytest.mark.parametrize("stage", ["mail", "rcpt"])
def test_a_relay_that_waits_for_content_of_a_refused_envelope_gets_an_empty_message(stage: str) -> None:
    relay = ScriptedRelay({(2, stage): "550 5.1.1 nobody", (2, "data"): "354 go ahead", (2, "end"): "554 5.5.1 none"})
    if stage == "mail":
        relay.script[2, "rcpt"] = "503 5.5.1 need MAIL"
    assert exchange(relay, A, B, C) == [SENT, Refused, SENT]
    assert relay.commands(1) == ["EHLO", *FULL, *FULL, "RSET", *FULL, "QUIT"]
    assert relay.received[1][1] == b""


@pytest.mark.parametrize("reply", ["hello?", "450 4.2.0 not now", "550 5.1.1 nobody"])
def test_no_recipient_gets_an_empty_message_when_the_relay_refuses_the_sender_alone(reply: str) -> None:
    relay = ScriptedRelay({(2, "mail"): reply, (2, "rcpt"): "250 2.1.5 Ok", (2, "data"): "354 go ahead"})
    exchange(relay, A, B, C)
    assert all(content for _, content in relay.received)
    assert relay.connections == 2


@pytest.mark.parametrize(
    "script", [{}, {(2, "rcpt"): "550 5.1.1 nobody"}, {(1, "end"): "550-5.7.1 first line\r\n550 5.7.1 second line"}]
)
def test_replies_that_arrive_byte_by_byte_are_read_in_order(script: dict[tuple[int, str], str]) -> None:
    relay = ScriptedRelay(script, overlaps=True, splits=True)
    results = exchange(relay, A, B, C, timeout=5)
    assert results.count(SENT) == (2 if script else 3)
    assert relay.connections == 1
    assert_in_order(relay, results, [A, B, C])


def test_a_relay_without_pipelining_gets_one_command_at_a_time() -> None:
    relay = ScriptedRelay({(2, "rcpt"): "550 5.1.1 nobody"}, extensions=("SIZE 1000000",))
    assert exchange(relay, A, B, C) == [SENT, Refused, SENT]
    assert relay.commands(1) == ["EHLO", *FULL, "MAIL", "RCPT", "RSET", *FULL, "QUIT"]


@pytest.mark.parametrize("before", [True, False], ids=["before TLS", "after TLS"])
def test_only_what_the_relay_offers_after_starttls_counts(
    before: bool, server_tls: ssl.SSLContext, ca_file: str
) -> None:
    offers = ("PIPELINING",)
    relay = ScriptedRelay(
        {(2, "rcpt"): "550 5.1.1 nobody"},
        tls=server_tls,
        plain_extensions=offers if before else (),
        extensions=() if before else offers,
        overlaps=not before,
    )
    first, second = message(A), message(B)
    with pool_to(relay, "starttls", ca_file) as pool:
        assert outcome(lambda: pool.send(first, second)) == SENT
        assert outcome(lambda: pool.send(second)) == Refused
    announced = ["MAIL", "RCPT"] if before else ["MAIL", "RCPT", "DATA"]
    assert relay.commands(1) == ["EHLO", "STARTTLS", "EHLO", *FULL, *announced, "RSET", "QUIT"]


def test_nothing_is_announced_over_a_connection_that_has_carried_its_share() -> None:
    relay = ScriptedRelay()
    assert exchange(relay, A, B, C, D, max_mails=2, timeout=5) == [SENT] * 4
    assert [relay.commands(number) for number in (1, 2)] == [["EHLO", *FULL, *FULL, "QUIT"]] * 2


def test_dots_at_the_start_of_the_last_lines_stay_in_front_of_the_announced_envelope() -> None:
    relay = ScriptedRelay(overlaps=True)
    content = b"Subject: x\r\n\r\n.\r\n..\r\n.dot\r\n.\r\n"
    with pool_to(relay) as pool:
        connection = pool._connect()
        connection.host.begin(connection.host.opened_at)
        with connection:
            connection.host.announce_next(message(B))
            connection.host.sendmail("orders@acme.example", A, content)
            connection.host.sendmail("orders@acme.example", B, content)
    stuffed = b"Subject: x\r\n\r\n..\r\n...\r\n..dot\r\n..\r\n"
    assert relay.received == [(A, stuffed), (B, stuffed)]
    assert relay.strange == []


def test_an_abandoned_message_is_not_sent_and_its_connection_is_closed() -> None:
    relay = ScriptedRelay()
    first, second, third = message(A), message(B), message(C)
    with pool_to(relay) as pool:
        pool.send(first, second)
        wait_until(lambda: relay.commands(1)[-1] == "DATA")  # the close may overtake what the relay has not read
        pool.abandon(second)
        relay.wait_for_end(1)
        pool.send(third)
    assert relay.accepted == [A, C]
    assert [relay.commands(number) for number in (1, 2)] == [
        ["EHLO", *FULL, "MAIL", "RCPT", "DATA"],
        ["EHLO", *FULL, "QUIT"],
    ]


def test_a_message_that_was_not_announced_can_be_abandoned() -> None:
    relay = ScriptedRelay(extensions=())
    first, second = message(A), message(B)
    with pool_to(relay) as pool:
        pool.send(first, second)
        pool.abandon(second)
        pool.send(second)
    assert relay.accepted == [A, B]
    assert relay.connections == 1


def test_an_announced_connection_is_not_taken_for_another_message() -> None:
    relay = ScriptedRelay()
    first, second, third = message(A), message(B), message(C)
    with pool_to(relay) as pool:
        pool.send(first, second)
        pool.send(third)
        pool.close_idle(older_than=0)
        pool.send(second)
    assert relay.accepted == [A, C, B]
    assert relay.commands(1)[:8] == ["EHLO", *FULL, "MAIL", "RCPT", "DATA"]
    assert relay.connections == 2


def test_an_abort_ends_announced_connections_too() -> None:
    relay = ScriptedRelay()
    first, second = message(A), message(B)
    with pool_to(relay) as pool:
        pool.send(first, second)
        pool.abort()
        assert outcome(lambda: pool.send(second)) == TryLater
    assert relay.accepted == [A]
