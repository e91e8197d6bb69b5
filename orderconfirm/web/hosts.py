"""Host check for services without API keys, against DNS rebinding.

A web page can make its own host name resolve to this machine. The browser then treats the service as the page's origin
and lets the page read every response. Only the Host header shows the difference.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

from flask import Flask, Response, request

from orderconfirm.settings import Settings
from orderconfirm.web import problem_types
from orderconfirm.web.problems import problem

_HOST = re.compile(r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]{0,5})?", re.IGNORECASE)
#: Names that only the local network resolves: `localhost`, and names without a dot, such as a container's.
_LOCAL_NAME = re.compile(r"[a-z0-9_-]+|(?:[a-z0-9_-]+\.)+localhost")


def init_app(app: Flask, settings: Settings) -> None:
    """Refuse other hosts on every route, including the pages. With API keys, every host is allowed."""
    if settings.api_keys:
        return

    @app.before_request
    def refuse_other_hosts() -> Response | None:
        if _is_allowed(request.headers.get("Host", ""), settings.host):
            return None
        return problem(problem_types.MISDIRECTED, problem_types.MISDIRECTED.detail)


def _is_allowed(host: str, own_name: str) -> bool:
    """Whether `host` is an address, or a name that no outsider can own."""
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    if match["ipv6"]:
        return _is_address(IPv6Address, match["ipv6"])
    name = match["name"].lower()
    is_local = name == own_name.lower() or _LOCAL_NAME.fullmatch(name) is not None
    return is_local or _is_address(IPv4Address, name)


def _is_address(address_type: type[IPv4Address | IPv6Address], text: str) -> bool:
    try:
        address_type(text)
    except ValueError:
        return False
    return True
