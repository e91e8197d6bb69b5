"""A DNS server on a free loopback port, which answers from a table."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset

#: Records by name and type, as in a zone file.
Zone = Mapping[tuple[str, str], list[str]]


@contextmanager
def dns_server(zone: Zone, rcode: dns.rcode.Rcode | None = None, failing: str = "") -> Iterator[dns.resolver.Resolver]:
    """Yield a resolver that asks a server with the records of `zone`.

    With `rcode`, that is its only answer for names that begin with `failing`.

    A name without any record does not exist.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], sock.getsockname()[1]

        def serve() -> None:
            with suppress(OSError):
                while wire := sock.recvfrom(4096):
                    if not wire[0]:
                        return
                    sock.sendto(_answer(dns.message.from_wire(wire[0]), zone, rcode, failing).to_wire(), wire[1])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield resolver
        finally:
            sock.sendto(b"", sock.getsockname())
            thread.join(5)


def _answer(query: dns.message.Message, zone: Zone, rcode: dns.rcode.Rcode | None, failing: str) -> dns.message.Message:
    [question] = query.question
    name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
    response = dns.message.make_response(query)
    response.flags |= dns.flags.RA
    if rcode is not None and name.startswith(failing):
        response.set_rcode(rcode)
    elif records := zone.get((name, kind)):
        response.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *records))
    elif not any(each == name for each, _ in zone):
        response.set_rcode(dns.rcode.NXDOMAIN)
    return response
