"""The signatures of webhooks, held by the vendors' published examples."""

from __future__ import annotations

from base64 import b64encode

import pytest

from orderconfirm.platforms import FORMATS
from orderconfirm.platforms.signatures import TOLERANCE, standard_key

BODY = b'{"id":1}'
NOW = 1_700_000_000
BASE64 = "A971iWIMgT8Zj9A9eWfikrFj7wQ16/Qwcc4OlRl2PLc="
HEX = "03def589620c813f198fd03d7967e292b163ef0435ebf43071ce0e9519763cb7"
STRIPE = f"t={NOW},v1=3dd1b9aef568d75f6790a84bd2e5dfa1f44409eef3cbdbd3f10b837376100c11"
STANDARD = {
    "webhook-id": "msg_1",
    "webhook-timestamp": str(NOW),
    "webhook-signature": "v1,j+RkAz8YtFeOp1OzociVR64hC37HGb33cM6pN7cybHM=",
}
KEY = "whsec_c2VjcmV0"

EXAMPLES = {
    "woocommerce": ({"x-wc-webhook-signature": BASE64}, "secret"),
    "shopify": ({"x-shopify-hmac-sha256": BASE64}, "secret"),
    "saleor": ({"saleor-signature": HEX}, "secret"),
    "stripe": ({"stripe-signature": STRIPE}, "secret"),
    "standard": (STANDARD, KEY),
}
#: Of each format, the header that holds the signature.
SIGNATURE = {
    "woocommerce": "x-wc-webhook-signature",
    "shopify": "x-shopify-hmac-sha256",
    "saleor": "saleor-signature",
    "stripe": "stripe-signature",
    "standard": "webhook-signature",
}
OTHER_KEY = "whsec_" + b64encode(b"another").decode()


@pytest.mark.parametrize("name", FORMATS)
def test_the_vendors_example_is_valid(name: str) -> None:
    headers, secret = EXAMPLES[name]
    assert FORMATS[name].verify(headers, BODY, [secret], NOW)


@pytest.mark.parametrize("name", FORMATS)
def test_any_of_several_secrets_is_enough(name: str) -> None:
    headers, secret = EXAMPLES[name]
    assert FORMATS[name].verify(headers, BODY, [OTHER_KEY, secret], NOW)


@pytest.mark.parametrize("name", FORMATS)
def test_another_body_another_secret_or_none_is_not_valid(name: str) -> None:
    headers, secret = EXAMPLES[name]
    verify = FORMATS[name].verify
    assert not verify(headers, BODY + b" ", [secret], NOW)
    assert not verify(headers, BODY, [OTHER_KEY], NOW)
    assert not verify(headers, BODY, [], NOW)
    assert not verify({}, BODY, [secret], NOW)


@pytest.mark.parametrize("name", ["stripe", "standard"])
@pytest.mark.parametrize("seconds", [-TOLERANCE - 1, TOLERANCE + 1])
def test_an_old_or_a_future_time_is_not_valid(name: str, seconds: int) -> None:
    headers, secret = EXAMPLES[name]
    assert not FORMATS[name].verify(headers, BODY, [secret], NOW + seconds)
    assert FORMATS[name].verify(headers, BODY, [secret], NOW + (seconds - (1 if seconds > 0 else -1)))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "value",
    [
        "",
        "v1",
        "v1,",
        "v1,a,b",
        "v1,AAA",
        "v1,é",
        "\udcff",
        "t=",
        "t=x,v1=y",
        "t=٣,v1=a",
        "=" * 9000,
        "t=1," * 4000,
        "9" * 9000,
    ],
)
def test_a_hostile_header_is_a_wrong_signature(name: str, value: str) -> None:
    headers, secret = EXAMPLES[name]
    assert not FORMATS[name].verify({**headers, SIGNATURE[name]: value}, BODY, [secret], NOW)
    assert not FORMATS[name].verify({**headers, SIGNATURE[name]: value}, b"\xff\xfe", [secret], NOW)


@pytest.mark.parametrize("value", ["", "-1", "1e9", "9" * 9000, "١٧٠٠٠٠٠٠٠٠"])
def test_a_hostile_time_is_a_wrong_signature(value: str) -> None:
    assert not FORMATS["standard"].verify({**STANDARD, "webhook-timestamp": value}, BODY, [KEY], NOW)


def test_a_secret_that_is_not_base64_is_named() -> None:
    with pytest.raises(ValueError, match="whsec_"):
        standard_key("whsec_not base64!")
