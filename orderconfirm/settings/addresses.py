"""The form of a mail address that every relay accepts."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=8)
def ascii_address(address: str) -> str:
    """Return an address with its domain in ASCII (IDNA 2008); unchanged if its domain has no such form."""
    local, at, domain = address.rpartition("@")
    if domain.isascii():
        return address
    import idna

    try:
        return f"{local}{at}{idna.encode(domain, uts46=True).decode()}"
    except idna.IDNAError:
        return address
