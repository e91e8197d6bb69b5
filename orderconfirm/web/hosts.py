"""The names that the service answers to while it asks for no key.

A web page can have its own name lead to this machine (DNS rebinding). To the reader's browser the service is then the
page's own origin, and the page may read every answer; only the Host header tells.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

from flask import Flask, Response, request

from orderconfirm.settings import Settings
from orderconfirm.web import problem_types
from orderconfirm.web.problems import problem

_HOST = re.compile(r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]{0,5})?", re.IGNORECASE)
#: A name without a dot, such as a container's, is known to the local network alone.
_LOCAL_NAME = re.compile(r"[a-z0-9_-]+|(?:[a-z0-9_-]+\.)+localhost")


def init_app(app: Flask, settings: Settings) -> None:
    """Refuse every other host on every route, pages included. With API keys any host will do."""
    if settings.api_keys:
        return

    @app.before_request
    def refuse_other_hosts() -> Response | None:
        if _is_ours(request.headers.get("Host", ""), settings.host):
            return None
        return problem(problem_types.MISDIRECTED, problem_types.MISDIRECTED.detail)


def _is_ours(host: str, own_name: str) -> bool:
    """Whether no outsider can own the host that a request names."""
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    if found["ipv6"]:
        return _is_address(IPv6Address, found["ipv6"])
    name = found["name"].lower()
    is_local = name == own_name.lower() or _LOCAL_NAME.fullmatch(name) is not None
    return is_local or _is_address(IPv4Address, name)


def _is_address(kind: type[IPv4Address | IPv6Address], text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True
