"""The sender's domain in DNS: whether it exists, and its SPF, DKIM and DMARC records."""

from __future__ import annotations

from collections.abc import Iterator

from dns.exception import DNSException
from dns.resolver import NXDOMAIN, NoAnswer, Resolver

from orderconfirm.checks.findings import Finding, error, ok, skipped, warning
from orderconfirm.settings import Settings

#: Seconds for one query.
TIMEOUT = 3.0
#: DKIM selectors that the relay documents, by the end of its host name. Most relays use others for each account.
_SELECTORS = {".mailtrap.io": ("rwmt1", "rwmt2")}
_RECORDS = ("SPF", "DKIM", "DMARC")
_SEE_RELAY = "publish the record that the relay's account shows for this domain"


def examine_domain(settings: Settings, resolver: Resolver | None = None) -> Iterator[Finding]:
    """Look up the DNS records that receivers check for mail from EMAIL_SENDER. `resolver` defaults to the system's."""
    relay = settings.relay
    if relay is None or relay.host.startswith("sandbox."):
        yield skipped("domain", "no mail leaves for real recipients, so nobody looks the domain up")
        return
    domain = settings.sender_domain
    remaining = list(_RECORDS)
    try:
        lookup = _Lookup(resolver or Resolver())
        servers = lookup.records(domain, "MX")
        # Without MX records, mail goes to the domain's own address; a null MX accepts none (RFC 5321 5.1, RFC 7505).
        has_mail_server = servers != ["0 ."] if servers else any(lookup.records(domain, kind) for kind in ("A", "AAAA"))
        if not has_mail_server and not lookup.exists:
            advice = "check the spelling of EMAIL_SENDER: most receivers refuse mail from such a domain"
            yield (error if settings.is_production else warning)("domain", f"{domain} does not exist", advice)
            yield from (skipped(name, "the domain does not exist") for name in _RECORDS)
            return
        if has_mail_server:
            yield ok("domain", f"{domain} receives mail")
        else:
            advice = "add an MX record; without one, bounces and replies cannot arrive"
            yield warning("domain", f"{domain} has no mail server", advice)
        for examine in (_spf, _dkim, _dmarc):
            yield examine(lookup, domain, relay.host)
            del remaining[0]
    except (DNSException, OSError) as exc:
        advice = "check /etc/resolv.conf, the firewall, and the domain's own DNS servers; mails are sent all the same"
        yield warning("DNS", f"a DNS query failed ({type(exc).__name__})", advice)
        yield from (skipped(name, "a DNS query failed") for name in remaining)


class _Lookup:
    """DNS queries. A missing name or record is an empty answer; a server that does not answer raises."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        #: Whether the name in the last query exists.
        self.exists = True

    def records(self, name: str, kind: str) -> list[str]:
        """Return the records of `name`; the strings of a TXT record are joined."""
        self.exists = True
        try:
            answer = self._resolver.resolve(f"{name}.", kind, lifetime=TIMEOUT)
        except NoAnswer:
            return []
        except NXDOMAIN:
            self.exists = False
            return []
        if kind != "TXT":
            return [record.to_text() for record in answer]
        return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]

    def tagged(self, name: str, tag: str) -> list[str]:
        """Return the TXT records of `name` that begin with `tag`."""
        return [text for text in self.records(name, "TXT") if text.lower().split(";")[0].split()[:1] == [tag]]


def _spf(lookup: _Lookup, domain: str, host: str) -> Finding:
    found = lookup.tagged(domain, "v=spf1")
    if len(found) > 1:
        advice = "merge them into one: receivers treat several records as an error (RFC 7208)"
        return error("SPF", f"{domain} has {len(found)} SPF records", advice)
    if found:
        return ok("SPF", found[0])
    if host.endswith(".mailtrap.io"):
        reason = "Mailtrap's return path is a subdomain with an SPF record of its own"
        return ok("SPF", f"no record, and none is needed: {reason}")
    return warning("SPF", f"{domain} has no SPF record", _SEE_RELAY)


def _dkim(lookup: _Lookup, domain: str, host: str) -> Finding:
    selectors = next((known for end, known in _SELECTORS.items() if host.endswith(end)), ())
    if not selectors:
        reason = "the relay's selector is not known: it is the s= value in the DKIM-Signature of a delivered mail"
        return skipped("DKIM", reason)
    names = [f"{selector}._domainkey.{domain}" for selector in selectors]
    missing = [name for name in names if not lookup.records(name, "TXT")]
    if missing:
        return warning("DKIM", f"no key at {' and '.join(missing)}", _SEE_RELAY)
    return ok("DKIM", f"keys at {' and '.join(names)}")


def _dmarc(lookup: _Lookup, domain: str, _: str) -> Finding:
    """Look for a record at the domain, then at each domain above it, as receivers do (RFC 7489, DMARCbis)."""
    labels = domain.split(".")
    for start in range(max(1, len(labels) - 1)):
        name = f"_dmarc.{'.'.join(labels[start:])}"
        found = lookup.tagged(name, "v=dmarc1")
        if len(found) > 1:
            advice = "keep one: receivers ignore the record if there are several"
            return warning("DMARC", f"{name} has {len(found)} records", advice)
        if found:
            return ok("DMARC", found[0])
    advice = "publish one (start with v=DMARC1; p=none): Gmail and Yahoo require it of large senders"
    return warning("DMARC", f"{domain} has no DMARC record", advice)
