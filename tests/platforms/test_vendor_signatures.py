"""The signatures of webhooks compared with the vendors' own code: what it signs is valid, what it refuses is not."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import standardwebhooks
import stripe
from npm import package_file

from orderconfirm.platforms import FORMATS
from orderconfirm.platforms.signatures import TOLERANCE

FOLDER = Path(__file__).parent
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass(frozen=True)
class Delivery:
    headers: Mapping[str, str]
    body: str
    secret: str = SECRET


@dataclass(frozen=True)
class Vendor:
    """A vendor's code: `sign` returns the headers of a body at a Unix time, `accepts` whether a delivery is valid."""

    signature_header: str
    sign: Callable[[str, int], Mapping[str, str]]
    accepts: Callable[[Delivery], bool]


def vendor_of_program(signature_header: str, *command: str | Path) -> Iterator[Vendor]:
    """Yield the vendor whose code a program calls, for one delivery per line."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        stdin, stdout = process.stdin, process.stdout

        @cache
        def ask(body: str, signature: str, secret: str) -> Any:
            stdin.write(json.dumps({"body": body, "signature": signature, "secret": secret}) + "\n")
            stdin.flush()
            return json.loads(stdout.readline())

        yield Vendor(
            signature_header,
            lambda body, _: {signature_header: ask(body, "", SECRET)["signed"]},
            lambda sent: ask(sent.body, sent.headers[signature_header], sent.secret)["is_valid"] is True,
        )
        stdin.close()


def woocommerce() -> Iterator[Vendor]:
    if which("php") is None:
        pytest.skip("PHP is not installed")
    return vendor_of_program("x-wc-webhook-signature", "php", FOLDER / "woocommerce_signature.php")


def shopify() -> Iterator[Vendor]:
    package_file("@shopify/shopify-api/package.json")
    return vendor_of_program("x-shopify-hmac-sha256", "node", FOLDER / "shopify_signature.mjs")


def stripe_vendor() -> Iterator[Vendor]:
    signer = stripe.WebhookSignature

    def accepts(sent: Delivery) -> bool:
        try:
            return signer.verify_header(sent.body, sent.headers["stripe-signature"], sent.secret, TOLERANCE)
        except stripe.SignatureVerificationError:
            return False

    yield Vendor(
        "stripe-signature",
        lambda body, at: {"stripe-signature": signer.generate_signature_header(body, SECRET, at)},
        accepts,
    )


def standard() -> Iterator[Vendor]:
    def sign(body: str, at: int) -> Mapping[str, str]:
        signature = standardwebhooks.Webhook(SECRET).sign("msg_1", datetime.fromtimestamp(at, UTC), body)
        return {"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": signature}

    def accepts(sent: Delivery) -> bool:
        try:
            standardwebhooks.Webhook(sent.secret).verify(sent.body, dict(sent.headers), json_parse=False)
        except standardwebhooks.WebhookVerificationError:
            return False
        return True

    yield Vendor("webhook-signature", sign, accepts)


VENDORS = {"woocommerce": woocommerce, "shopify": shopify, "stripe": stripe_vendor, "standard": standard}


@pytest.fixture(scope="module", params=VENDORS)
def named_vendor(request: pytest.FixtureRequest) -> Iterator[tuple[str, Vendor]]:
    for vendor in VENDORS[request.param]():
        yield request.param, vendor


def swapped(signature: str) -> str:
    """Return a signature with two different neighbours exchanged near its end, so that it stays well-formed."""
    place = next(at for at in range(len(signature) - 5, 0, -1) if signature[at] != signature[at - 1])
    return signature[: place - 1] + signature[place] + signature[place - 1] + signature[place + 1 :]


def is_valid(name: str, sent: Delivery) -> bool:
    return FORMATS[name].verify(sent.headers, sent.body.encode(), [sent.secret], time.time())


@pytest.mark.parametrize("body", ['{"id":1}', '{"name":"Åse & 急須 \\u0000"}', " \n{}\r\n"])
def test_what_the_vendor_signs_is_valid(named_vendor: tuple[str, Vendor], body: str) -> None:
    name, vendor = named_vendor
    sent = Delivery(vendor.sign(body, int(time.time())), body)
    assert vendor.accepts(sent)
    assert is_valid(name, sent)


@pytest.mark.parametrize("change", ["body", "secret", "signature", "no signature"])
def test_what_the_vendor_refuses_is_not_valid(named_vendor: tuple[str, Vendor], change: str) -> None:
    name, vendor = named_vendor
    sent = Delivery(vendor.sign('{"id":1}', int(time.time())), '{"id":1}')
    signature = sent.headers[vendor.signature_header]
    changed = {
        "body": replace(sent, body='{"id":2}'),
        "secret": replace(sent, secret=SECRET[:6] + SECRET[:5:-1]),
        "signature": replace(sent, headers={**sent.headers, vendor.signature_header: swapped(signature)}),
        "no signature": replace(sent, headers={**sent.headers, vendor.signature_header: ""}),
    }[change]
    assert not vendor.accepts(changed)
    assert not is_valid(name, changed)


@pytest.mark.parametrize("name", ["stripe", "standard"])
def test_an_old_signature_is_not_valid_for_the_vendor_either(name: str) -> None:
    [vendor] = VENDORS[name]()
    old = Delivery(vendor.sign("{}", int(time.time()) - TOLERANCE - 1), "{}")
    assert not vendor.accepts(old)
    assert not is_valid(name, old)


@pytest.mark.parametrize("secret", [SECRET, SECRET[:-1], SECRET.removeprefix("whsec_")])
def test_a_secret_that_standard_webhooks_takes_is_taken(secret: str) -> None:
    at = int(time.time())
    signature = standardwebhooks.Webhook(secret).sign("msg_1", datetime.fromtimestamp(at, UTC), "{}")
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": signature}
    assert is_valid("standard", Delivery(headers, "{}", secret))
