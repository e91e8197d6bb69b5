"""What relays answer, and what it means: Mailtrap's documented replies, then the rules behind them."""

from __future__ import annotations

import pytest

from orderconfirm.errors import (
    DeliveryFailure,
    Denied,
    Refused,
    RelayMisconfigured,
    RelayTrouble,
    SlowDown,
    TooManyConnections,
    TryLater,
)
from orderconfirm.smtp.replies import SESSION_STAGES, read_reply

UPGRADE = "Please upgrade your plan https://mailtrap.io/billing/plans/testing"

MAILTRAP = [
    ("data", 550, "5.7.0 Requested action not taken: too many emails per second", SlowDown),
    ("end_of_data", 550, "5.7.0 Requested action not taken: too many emails per second", SlowDown),
    ("data", 550, f"5.7.0 Too many emails per second. {UPGRADE}", SlowDown),
    ("auth", 535, "5.7.8 Too many connections per account", TooManyConnections),
    ("auth", 535, "5.7.0 Too many failed login attempts", RelayMisconfigured),
    ("auth", 535, "5.7.0 Monthly messages limit reached", RelayMisconfigured),
    ("auth", 535, f"5.7.0 The email limit is reached. {UPGRADE}", RelayMisconfigured),
    ("auth", 535, "5.7.0 Invalid credentials", RelayMisconfigured),
    ("auth", 535, "5.7.0 Invalid login or password", RelayMisconfigured),
    ("auth", 535, "5.7.8 Authentication failed", RelayMisconfigured),
    ("mail", 530, "5.7.1 Authentication required", RelayMisconfigured),
    ("mail", 550, "5.7.1 Sending from domain shop.example is not allowed", RelayMisconfigured),
    ("mail", 550, "5.7.1 Sending from domain is not allowed", RelayMisconfigured),
    ("end_of_data", 550, "From: Header does not match the sender's domain", RelayMisconfigured),
    (
        "rcpt",
        554,
        "5.7.1 Demo domains can only be used to send emails to account owners. "
        "You can only send testing emails to your own email address.",
        Denied,
    ),
    ("rcpt", 554, "5.5.1 Error: no sandbox for this email", Refused),
    ("end_of_data", 552, "5.3.4 Error: message too big", Refused),
    ("mail", 421, "4.4.2 Idle timeout, closing connection", RelayTrouble),
]


@pytest.mark.parametrize(("stage", "code", "text", "kind"), MAILTRAP)
def test_mailtrap_s_reply_is_understood(stage: str, code: int, text: str, kind: type[DeliveryFailure]) -> None:
    failure = read_reply(stage, code, text)
    assert type(failure) is kind
    assert (failure.stage, failure.code, failure.text) == (stage, code, text)


@pytest.mark.parametrize("text", [text for _, _, text, kind in MAILTRAP if kind is SlowDown])
def test_words_count_in_any_case(text: str) -> None:
    assert type(read_reply("end_of_data", 550, text.upper())) is SlowDown


@pytest.mark.parametrize(("stage", "kind"), [("mail", RelayTrouble), ("rcpt", TryLater), ("end_of_data", TryLater)])
def test_a_421_is_the_relay_s_trouble_until_a_recipient_is_named(stage: str, kind: type[DeliveryFailure]) -> None:
    assert type(read_reply(stage, 421, "4.3.2 Closing")) is kind


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "end_of_data"])
@pytest.mark.parametrize(
    ("code", "kind"),
    [(450, TryLater), (451, TryLater), (452, TryLater), (550, Refused), (554, Refused)],
)
def test_inside_a_mail_the_code_decides(stage: str, code: int, kind: type[DeliveryFailure]) -> None:
    assert type(read_reply(stage, code, "No more words")) is kind


@pytest.mark.parametrize("stage", sorted(SESSION_STAGES))
@pytest.mark.parametrize("code", [421, 450, 454])
def test_a_passing_refusal_of_the_session_is_the_relay_s_trouble(stage: str, code: int) -> None:
    assert type(read_reply(stage, code, "Come back")) is RelayTrouble


@pytest.mark.parametrize(
    ("stage", "kind"),
    [
        ("banner", RelayTrouble),
        ("ehlo", RelayTrouble),
        ("starttls", RelayMisconfigured),
        ("auth", RelayMisconfigured),
    ],
)
def test_a_lasting_refusal_of_the_session_is_a_setting_s_fault_from_starttls_on(
    stage: str, kind: type[DeliveryFailure]
) -> None:
    assert type(read_reply(stage, 554, "No")) is kind


@pytest.mark.parametrize("code", [530, 534, 535, 538])
@pytest.mark.parametrize("stage", ["ehlo", "auth", "mail", "rcpt", "end_of_data"])
def test_codes_for_a_missing_login_mean_bad_settings_at_any_stage(stage: str, code: int) -> None:
    assert type(read_reply(stage, code, "No")) is RelayMisconfigured


@pytest.mark.parametrize(
    ("stage", "text", "kind"),
    [
        ("mail", "5.7.1 Not permitted", RelayMisconfigured),
        ("mail", "5.1.8 Bad address", RelayMisconfigured),
        ("mail", "5.1.7 Bad address", RelayMisconfigured),
        ("mail", "Sender address rejected", RelayMisconfigured),
        ("mail", "5.1.3 Bad address", Refused),
        ("rcpt", "5.7.1 Not permitted", Denied),
        ("rcpt", "<a@shop.example>: Sender address rejected: not owned by user api", RelayMisconfigured),
        ("rcpt", "5.7.1 From address not verified: sender domain not allowed", RelayMisconfigured),
        ("rcpt", "5.7.1 <x@y.example>: Recipient address rejected: sender unknown here", Denied),
        ("mail", "5.3.4 message size exceeds limit of sender", Refused),
    ],
)
def test_a_refused_sender_is_no_order_s_fault(stage: str, text: str, kind: type[DeliveryFailure]) -> None:
    assert type(read_reply(stage, 550, text)) is kind


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4.7.1 Greylisted, try again in 30 seconds", 30),
        ("Please retry after 300 seconds", 300),
        ("try again in 1 second", 1),
        ("Try again in 90s.", 90),
        ("try again after 45 sec", 45),
        ("TRY AGAIN IN 5 MINUTES", 300),
        ("try in 2 min", 120),
        ("retry in 5m", 300),
        ("try again in 1 hour", 3600),
        ("try again later", None),
        ("try again in a while", None),
        ("try again in 12345678 seconds", None),
        ("country after 5 seconds", None),
        ("", None),
    ],
)
def test_the_wait_that_a_relay_asks_for_is_read(text: str, seconds: float | None) -> None:
    assert read_reply("rcpt", 450, text).retry_after == seconds


def test_a_wait_is_read_from_a_session_s_refusal_too() -> None:
    failure = read_reply("banner", 421, "Too busy, try again in 2 minutes")
    assert (type(failure), failure.retry_after) == (RelayTrouble, 120)


def test_a_failure_says_where_it_ended_and_what_the_relay_said() -> None:
    assert str(read_reply("rcpt", 550, "5.1.1 No such user")) == "rcpt: 550 5.1.1 No such user"


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (552, "5.2.2 mailbox size limit reached", Refused),
        (452, "4.2.2 quota limit is reached for recipient", TryLater),
    ],
)
def test_a_recipient_s_own_limit_is_not_the_relay_s(code: int, text: str, kind: type[DeliveryFailure]) -> None:
    assert type(read_reply("rcpt", code, text)) is kind


@pytest.mark.parametrize(
    ("stage", "code", "text"),
    [
        ("mail", 550, "5.4.5 Daily user sending quota exceeded"),
        ("mail", 550, "You have exceeded your monthly limit"),
        ("rcpt", 550, "5.4.5 Daily user sending limit exceeded"),
        ("end_of_data", 554, "5.7.1 The monthly email limit is reached"),
        ("mail", 451, "4.3.0 hourly limit exceeded"),
    ],
)
def test_an_account_s_quota_pauses_the_relay_wherever_it_is_said(stage: str, code: int, text: str) -> None:
    assert type(read_reply(stage, code, text)) is RelayMisconfigured


@pytest.mark.parametrize("text", ["5.7.1 Greylisted, try again in 5 seconds", "Please try again in 1 minute"])
def test_a_lasting_refusal_that_names_a_time_passes(text: str) -> None:
    failure = read_reply("rcpt", 550, text)
    assert type(failure) is TryLater and failure.retry_after


def test_what_another_server_said_of_its_connections_is_that_order_s_affair() -> None:
    text = "4.3.2 <x@y.example>: host mx.y.example said: 421 Too many connections"
    assert type(read_reply("rcpt", 451, text)) is TryLater


@pytest.mark.parametrize("stage", ["rcpt", "data", "end_of_data"])
@pytest.mark.parametrize(
    "text",
    [
        "5.7.1 <x@y.example>: Recipient address rejected: Access denied",
        "5.7.26 Unauthenticated email is not accepted",
        "Message rejected: Email address is not verified. The following identities failed the check: x@y.example",
    ],
)
def test_a_policy_s_refusal_leaves_open_whom_it_is_against(stage: str, text: str) -> None:
    assert type(read_reply(stage, 554, text)) is Denied


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (554, "5.7.1 <x@y.example>: Relay access denied"),
        (454, "4.7.1 <x@y.example>: Relay access denied"),
        (550, "5.7.1 <x@y.example>... Relaying denied"),
        (550, "relay not permitted"),
        (550, "5.7.54 SMTP; Unable to relay recipient in non-accepted domain"),
        (550, "5.7.1 Unable to relay"),
        (553, "sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"),
        (550, "You are not authorized to relay mail"),
    ],
)
def test_a_relay_that_does_not_relay_for_us_is_no_recipient_s_fault(code: int, text: str) -> None:
    assert type(read_reply("rcpt", code, text)) is RelayMisconfigured


@pytest.mark.parametrize("stage", ["rcpt", "data", "end_of_data"])
@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (552, "5.2.2 Message would exceed quota", Refused),
        (552, "5.2.2 <x@y.example> Quota exceeded (mailbox for user is full)", Refused),
        (552, "Message would exceed quota", Refused),
        (452, "4.2.2 Message would exceed quota", TryLater),
        (450, "4.2.1 The user is receiving mail at a rate that prevents additional messages: rate limit", TryLater),
        (552, "5.7.1 Daily message quota exceeded", RelayMisconfigured),
    ],
)
def test_a_full_mailbox_is_its_recipient_s(stage: str, code: int, text: str, kind: type[DeliveryFailure]) -> None:
    assert type(read_reply(stage, code, text)) is kind


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "end_of_data"])
@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (450, "4.7.1 Error: too much mail from 192.0.2.1", SlowDown),
        (454, "Throttling failure: Maximum sending rate exceeded.", SlowDown),
        (554, "Too many emails per hour", SlowDown),
        (550, "5.7.1 rate limit exceeded, try again later", SlowDown),
        (550, "5.7.0 Too many messages, try again in 5 seconds", SlowDown),
        (421, "4.4.2 Message submission rate for this client has exceeded the configured limit", SlowDown),
        (451, "4.7.0 Message rate limit exceeded", SlowDown),
        (454, "Throttling failure: Daily message quota exceeded.", RelayMisconfigured),
        (452, "4.5.3 Too many messages in this connection", TryLater),
        (450, "4.7.1 Too many messages for this recipient", TryLater),
    ],
)
def test_a_relay_that_wants_less_mail_at_a_time_is_understood(
    stage: str, code: int, text: str, kind: type[DeliveryFailure]
) -> None:
    assert type(read_reply(stage, code, text)) is kind


@pytest.mark.parametrize(
    "words", ["450 4.7.1 too much mail from you", "554 5.7.1 Relay access denied", "552 5.7.1 Daily quota exceeded"]
)
def test_what_another_server_said_of_us_is_that_order_s_affair_too(words: str) -> None:
    text = f"4.1.1 <x@y.example>: Recipient address rejected: unverified address: host mx.y.example said: {words}"
    assert type(read_reply("rcpt", 450, text)) is TryLater
