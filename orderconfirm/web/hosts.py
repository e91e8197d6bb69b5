"""The host names that the service accepts without API keys, and on the browser pages.

A web page can make its own name resolve to this machine (DNS rebinding). The visitor's browser then takes the service
for the page's own origin and lets the page read every response. Only the Host header reveals this.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

from flask import Flask, Response, request

from orderconfirm.settings import Settings
from orderconfirm.web import problem_types
from orderconfirm.web.problems import problem

#: The blueprints of the local inbox and the form, which browsers use without a key.
_PAGES = ("pages", "demo")
#: Their styles and scripts, which other pages use too and which are no secret.
_STATIC = "pages.static"
_HOST = re.compile(r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]{0,5})?", re.IGNORECASE)
#: A name without a dot, such as a container's, is known only in the local network.
_LOCAL_NAME = re.compile(r"[a-z0-9_-]+|(?:[a-z0-9_-]+\.)+localhost")


def init_app(app: Flask, settings: Settings) -> None:
    """Check the Host header of every request if no API keys are set, otherwise only of the browser pages."""

    @app.before_request
    def refuse_other_hosts() -> Response | None:
        if settings.api_keys and (request.blueprint not in _PAGES or request.endpoint == _STATIC):
            return None
        if _is_local(request.headers.get("Host", ""), settings.host):
            return None
        return problem(problem_types.MISDIRECTED, problem_types.MISDIRECTED.detail)


def _is_local(host: str, own_name: str) -> bool:
    """Whether a request's host is a local name, an IP address or HOST, so that no attacker can have registered it."""
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    if found["ipv6"]:
        return _is_address(IPv6Address, found["ipv6"])
    name = found["name"].lower()
    is_name_local = name == own_name.lower() or _LOCAL_NAME.fullmatch(name) is not None
    return is_name_local or _is_address(IPv4Address, name)


def _is_address(address_type: type[IPv4Address | IPv6Address], text: str) -> bool:
    try:
        address_type(text)
    except ValueError:
        return False
    return True
