"""The sender's domain, asked of a real DNS server."""

from __future__ import annotations

import dns.rcode
import pytest
from dns_server import Zone, dns_server
from findings import named, statuses

from orderconfirm.checks.domain import examine_domain
from orderconfirm.checks.findings import Finding
from orderconfirm.settings import Settings

DOMAIN = "mail.acme.example"
MAILTRAP = {"MAILTRAP_API_TOKEN": "token-of-the-account", "EMAIL_SENDER": f"Acme <orders@{DOMAIN}>"}
OTHER = {"MAIL_SERVER": "smtp.example", "EMAIL_SENDER": f"orders@{DOMAIN}"}
KEY = ['"v=DKIM1; k=rsa; " "p=MIGf"']
COMPLETE: Zone = {
    (DOMAIN, "MX"): ["10 mx.acme.example."],
    (DOMAIN, "TXT"): ['"site-verification=1"', '"v=spf1 include:_spf.smtp.mailtrap.live" " ~all"'],
    (f"rwmt1._domainkey.{DOMAIN}", "TXT"): KEY,
    (f"rwmt2._domainkey.{DOMAIN}", "TXT"): KEY,
    ("_dmarc.acme.example", "TXT"): ['"v=DMARC1; p=none"'],
}


def examine(
    zone: Zone, variables: dict[str, str] = MAILTRAP, rcode: dns.rcode.Rcode | None = None, failing: str = ""
) -> list[Finding]:
    with dns_server(zone, rcode, failing) as resolver:
        return list(examine_domain(Settings.from_env(variables), resolver))


def test_a_complete_domain_is_right_and_dmarc_is_found_above_it() -> None:
    findings = examine(COMPLETE)
    assert statuses(findings) == {"domain": "ok", "SPF": "ok", "DKIM": "ok", "DMARC": "ok"}
    assert named(findings, "SPF").found == "v=spf1 include:_spf.smtp.mailtrap.live ~all"
    assert named(findings, "DMARC").found == "v=DMARC1; p=none"


@pytest.mark.parametrize(
    ("changes", "name", "status", "words"),
    [
        ({(DOMAIN, "TXT"): ['"v=spf1 -all"', '"v=spf1 mx -all"']}, "SPF", "error", "2 SPF records"),
        ({(DOMAIN, "TXT"): []}, "SPF", "ok", "none is needed"),
        ({(f"rwmt2._domainkey.{DOMAIN}", "TXT"): []}, "DKIM", "warning", f"no key at rwmt2._domainkey.{DOMAIN}"),
        ({("_dmarc.acme.example", "TXT"): []}, "DMARC", "warning", "has no DMARC record"),
        ({("_dmarc.acme.example", "TXT"): ['"v=DMARC1"', '"v=DMARC1; p=none"']}, "DMARC", "warning", "2 records"),
        ({(DOMAIN, "MX"): []}, "domain", "warning", "has no mail server"),
        ({(DOMAIN, "MX"): [], (DOMAIN, "AAAA"): ["2001:db8::1"]}, "domain", "ok", "receives mail"),
        ({(DOMAIN, "MX"): ["0 ."], (DOMAIN, "A"): ["192.0.2.1"]}, "domain", "warning", "has no mail server"),
    ],
)
def test_what_is_missing_in_a_domain_is_named(changes: Zone, name: str, status: str, words: str) -> None:
    finding = named(examine({**COMPLETE, **changes}), name)
    assert (finding.status, words in finding.found) == (status, True)
    assert bool(finding.advice) == (status != "ok")


def test_the_selector_of_another_relay_is_not_guessed_and_its_spf_record_is_needed() -> None:
    findings = examine({**COMPLETE, (DOMAIN, "TXT"): []}, OTHER)
    assert statuses(findings) == {"domain": "ok", "SPF": "warning", "DKIM": "skipped", "DMARC": "ok"}


def test_a_domain_that_does_not_exist_is_an_error_only_in_production() -> None:
    production = {**MAILTRAP, "APP_ENV": "production", "API_KEYS": "shop1:0123456789abcdef"}
    assert statuses(examine({}))["domain"] == "warning"
    assert statuses(examine({}, production)) == {
        "domain": "error",
        "SPF": "skipped",
        "DKIM": "skipped",
        "DMARC": "skipped",
    }


def test_without_an_answer_of_dns_nothing_is_said_about_the_domain() -> None:
    findings = examine(COMPLETE, rcode=dns.rcode.SERVFAIL)
    assert statuses(findings) == {"DNS": "warning", "SPF": "skipped", "DKIM": "skipped", "DMARC": "skipped"}
    assert "a DNS query failed" in findings[0].found


def test_what_was_found_before_a_query_failed_is_said_once() -> None:
    findings = examine(COMPLETE, rcode=dns.rcode.SERVFAIL, failing="_dmarc")
    assert [(each.name, each.status) for each in findings] == [
        ("domain", "ok"),
        ("SPF", "ok"),
        ("DKIM", "ok"),
        ("DNS", "warning"),
        ("DMARC", "skipped"),
    ]


def test_a_malformed_domain_is_reported_like_a_missing_answer() -> None:
    assert examine(COMPLETE, {**OTHER, "EMAIL_SENDER": "orders@acme..example"})[0].status == "warning"


@pytest.mark.parametrize(
    "variables",
    [{}, {"MAILTRAP_SANDBOX_USER": "u", "MAILTRAP_SANDBOX_PASSWORD": "p", "EMAIL_SENDER": "a@acme.example"}],
    ids=["local inbox", "sandbox"],
)
def test_a_domain_from_which_nothing_is_delivered_is_not_looked_up(variables: dict[str, str]) -> None:
    assert statuses(examine({}, variables)) == {"domain": "skipped"}
