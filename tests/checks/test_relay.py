"""A session with the relay, tried against real SMTP servers."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from findings import named, statuses
from processes import free_port
from scripted_relay import ScriptedRelay, running
from smtp_server import PASSWORD, USER, Sink, smtp_server

from orderconfirm.checks.findings import Finding
from orderconfirm.checks.relay import examine_relay
from orderconfirm.settings import Settings

SKIPPED_AFTER = {
    "relay name": ("connection", "encryption", "login", "sender"),
    "connection": ("encryption", "login", "sender"),
    "encryption": ("login", "sender"),
    "login": ("sender",),
    "sender": (),
}


def examine(port: int, **changes: str) -> list[Finding]:
    variables = {
        "MAIL_SERVER": "localhost",
        "MAIL_PORT": str(port),
        "MAIL_USERNAME": USER,
        "MAIL_PASSWORD": PASSWORD,
        "MAIL_TIMEOUT": "5",
        "EMAIL_SENDER": "orders@acme.example",
        **changes,
    }
    return list(examine_relay(Settings.from_env({name: value for name, value in variables.items() if value})))


def tls_of(authority: trustme.CA, name: str = "localhost", days: float = 90) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_after=datetime.now(UTC) + timedelta(days=days)).configure_cert(context)
    return context


def assert_only_failure(findings: list[Finding], name: str, words: str, advice: str, status: str = "error") -> None:
    """Everything before the failure is right, and everything after it is skipped."""
    failure = named(findings, name)
    assert (failure.status, words in failure.found, advice in failure.advice) == (status, True, True), failure
    after = [finding.name for finding in findings if finding.status == "skipped"]
    assert tuple(after) == SKIPPED_AFTER[name]
    before = [finding for finding in findings if finding.status not in ("ok", "skipped")]
    assert before == [failure]


def test_a_relay_that_accepts_us_gets_no_mail_and_no_recipient(authority: trustme.CA, ca_file: str) -> None:
    relay = ScriptedRelay()
    with running(relay) as port:
        findings = examine(port, MAIL_USE_TLS="false", MAIL_USERNAME="", MAIL_PASSWORD="")
        relay.wait_for_end(1)
    assert relay.commands(1) == ["EHLO", "MAIL", "RSET", "QUIT"]
    assert set(statuses(findings).values()) == {"ok"}
    with smtp_server(tls_of(authority)) as (sink, port):
        findings = examine(port, MAIL_CA_FILE=ca_file)
    assert set(statuses(findings).values()) == {"ok"}
    assert "expires in 89 days" in named(findings, "encryption").found
    assert (sink.begun, sink.mails, sink.recipients) == (1, [], [])


def test_a_name_without_an_address_is_an_error() -> None:
    findings = examine(587, MAIL_SERVER="relay.invalid")
    assert_only_failure(findings, "relay name", "relay.invalid cannot be looked up", "the spelling of MAIL_SERVER")


def test_a_name_that_cannot_be_one_is_an_error_and_not_a_crash() -> None:
    assert statuses(examine(587, MAIL_SERVER="relay..example"))["relay name"] == "error"


def test_a_closed_port_is_an_error() -> None:
    assert_only_failure(examine(free_port()), "connection", "refused", "check MAIL_SERVER and MAIL_PORT")


def test_a_relay_without_starttls_is_an_error() -> None:
    with running(ScriptedRelay()) as port:
        assert_only_failure(examine(port), "encryption", "does not offer STARTTLS", "usually 587")


def test_a_relay_that_wants_encryption_first_is_an_error(authority: trustme.CA) -> None:
    with smtp_server(tls_of(authority)) as (_, port):
        findings = examine(port, MAIL_USE_TLS="false", MAIL_USERNAME="", MAIL_PASSWORD="")
    assert_only_failure(findings, "sender", "530", "MAIL_USE_TLS=true")


def test_a_port_that_does_not_begin_with_tls_is_an_error(authority: trustme.CA, ca_file: str) -> None:
    with smtp_server(tls_of(authority)) as (_, port):
        findings = examine(port, MAIL_USE_SSL="true", MAIL_CA_FILE=ca_file)
    assert named(findings, "encryption").status == "error"
    assert "465 for MAIL_USE_SSL" in named(findings, "encryption").advice


@pytest.mark.parametrize(
    ("name", "days", "is_trusted", "words", "advice"),
    [
        ("localhost", -1, True, "expired", "must renew the certificate"),
        ("relay.example", 90, True, "ostname mismatch", "a name that the certificate has"),
        ("localhost", 90, False, "local issuer", "MAIL_CA_FILE"),
    ],
    ids=["expired", "another name", "unknown authority"],
)
def test_a_certificate_that_cannot_be_trusted_is_an_error(
    authority: trustme.CA, ca_file: str, name: str, days: float, is_trusted: bool, words: str, advice: str
) -> None:
    with smtp_server(tls_of(authority, name, days)) as (sink, port):
        findings = examine(port, MAIL_CA_FILE=ca_file if is_trusted else "")
    assert_only_failure(findings, "encryption", words, advice)
    assert sink.logins == []


def test_a_certificate_that_ends_soon_is_a_warning(authority: trustme.CA, ca_file: str) -> None:
    with smtp_server(tls_of(authority, days=20)) as (_, port):
        findings = examine(port, MAIL_CA_FILE=ca_file)
    assert named(findings, "encryption").status == "warning"
    assert "expires in 19 days" in named(findings, "encryption").found
    assert statuses(findings)["sender"] == "ok"


def test_a_wrong_password_is_an_error_and_tried_once(authority: trustme.CA, ca_file: str) -> None:
    with smtp_server(tls_of(authority)) as (sink, port):
        sink.password = "another"
        findings = examine(port, MAIL_CA_FILE=ca_file)
    assert_only_failure(findings, "login", "535", "MAIL_USERNAME and MAIL_PASSWORD")
    assert len(sink.logins) == 1


@pytest.mark.parametrize(
    ("reply", "status", "advice"),
    [
        ("550 5.7.1 Sending from domain acme.example is not allowed", "error", "verify the domain of EMAIL_SENDER"),
        ("550 5.7.0 too many emails per second", "warning", "MAIL_RATE_LIMIT"),
        ("451 4.3.0 Try again later", "warning", ""),
    ],
)
def test_a_refused_sender_is_an_error_unless_it_is_temporary(reply: str, status: str, advice: str) -> None:
    with running(ScriptedRelay({(1, "mail"): reply})) as port:
        findings = examine(port, MAIL_USE_TLS="false", MAIL_USERNAME="", MAIL_PASSWORD="")
    assert_only_failure(findings, "sender", reply[:9], advice, status)


def test_a_relay_without_a_free_connection_is_a_warning() -> None:
    sink = Sink()
    sink.most_connections = 0
    with smtp_server(sink=sink) as (_, port):
        findings = examine(port, MAIL_USE_TLS="false", MAIL_USERNAME="", MAIL_PASSWORD="")
    assert_only_failure(findings, "connection", "Too many connections", "lower MAIL_MAX_CONNECTIONS", "warning")


def test_without_authorities_no_certificate_can_be_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    finding = named(examine(free_port()), "CA certificates")
    assert (finding.status, "install the package ca-certificates" in finding.advice) == ("error", True)


def test_without_a_relay_there_is_nothing_to_check() -> None:
    assert statuses(examine_relay(Settings())) == {"relay": "ok"}
