"""WooCommerce's signature as PHP computes it."""

from __future__ import annotations

import subprocess
from shutil import which

import pytest

from orderconfirm.platforms import FORMATS

#: As in WC_Webhook::generate_signature.
PROGRAM = "echo base64_encode(hash_hmac('sha256', stream_get_contents(STDIN), getenv('SECRET'), true));"


@pytest.mark.skipif(which("php") is None, reason="PHP is not installed")
@pytest.mark.parametrize("body", [b'{"id":1}', '{"name":"Åse & 急須"}'.encode(), b"\x00\xff", b""])
def test_a_body_signed_by_php_is_valid(body: bytes) -> None:
    secret = "s3cret & äöü of the shop"
    signed = subprocess.run(["php", "-r", PROGRAM], input=body, capture_output=True, env={"SECRET": secret}, check=True)
    headers = {"x-wc-webhook-signature": signed.stdout.decode()}
    assert FORMATS["woocommerce"].verify(headers, body, [secret], 0)
    assert not FORMATS["woocommerce"].verify(headers, body, [secret[1:]], 0)
