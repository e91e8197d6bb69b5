"""Which addresses are public, so that a request to a shop's URL cannot reach what only this machine can."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

#: NAT64's prefix (RFC 6052): the last 32 bits are an IPv4 address.
_NAT64 = ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an IP address is public, and does not lead to one that is not."""
    ip = ip_address(address.partition("%")[0])
    return all(each.is_global and not each.is_multicast for each in (ip, *_embedded(ip)))


def may_be_public(host: str) -> bool:
    """Whether a host is a public address, or a name, whose addresses are checked when it is used."""
    try:
        return is_public(host)
    except ValueError:
        return host.rstrip(".").rpartition(".")[2].lower() not in ("localhost", "local", "internal")


def _embedded(ip: IPv4Address | IPv6Address) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses to which packets for an IPv6 address may be translated."""
    if isinstance(ip, IPv4Address):
        return ()
    nat64 = IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None
    return tuple(filter(None, (ip.ipv4_mapped, ip.sixtofour, nat64)))
