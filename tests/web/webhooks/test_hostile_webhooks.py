"""Signed webhooks with hostile bodies: always 200 with a reason, whatever stands where."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import relay_variables
from flask import Flask
from platform_webhooks import PLATFORMS, SECRET, fixture, inner, profile, signed_headers

from orderconfirm import create_app
from orderconfirm.settings import Settings

VALUES: list[Any] = [
    *(None, "", [], {}, -1, True, 10**30, 1e300, 0.1, "1e999999", "NaN", "-Infinity", "9" * 5000, "\ud800", "\0", " "),
    *([[]], [None], {"": {}}, "=" * 100_000, "<" * 10_000, "1e40", "0x1f", "१", "\u202e"),
]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("HOOK_SECRET", SECRET)
        for platform in PLATFORMS:
            (folder / f"{platform}.toml").write_text(profile(platform))
        database = f"sqlite:///{folder}/outbox.db"
        # The mails go nowhere, because nothing sends them.
        app = create_app(
            Settings.from_env(relay_variables(9, SHOPS_DIR=str(folder), DATABASE_URL=database, SENDER="off"))
        )
    app.extensions["orderconfirm"].start()
    yield app
    app.extensions["orderconfirm"].stop()


def post(app: Flask, platform: str, body: bytes) -> tuple[int, Any]:
    response = app.test_client().post(
        f"/api/webhooks/orders/{platform}", data=body, headers=signed_headers(platform, body)
    )
    return response.status_code, response.get_json()


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each container in a body with each of its keys."""
    if isinstance(value, dict | list):
        for key in range(min(len(value), 2)) if isinstance(value, list) else list(value):
            yield value, key
            yield from places(value[key])


@pytest.mark.parametrize("platform", PLATFORMS)
def test_any_value_anywhere_in_an_order_gets_200_and_a_reason(app: Flask, platform: str) -> None:
    body = fixture(platform)
    answers: Counter[int] = Counter()
    for number, (holder, key) in enumerate(list(places(body))):
        given = holder[key]
        for offset in range(3):  # over all places, every value has its turn
            holder[key] = copy.deepcopy(VALUES[(3 * number + offset) % len(VALUES)])
            status, receipt = post(app, platform, json.dumps(body).encode())
            answers[status] += 1
            assert status == 200, (key, holder[key])
            assert receipt["outcome"] in ("accepted", "known") or receipt["reason"], (key, holder[key])
        holder[key] = given
    assert set(answers) == {200}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_huge_or_deep_body_gets_200_and_a_reason(app: Flask, platform: str) -> None:
    many_lines = fixture(platform)
    items = lines_of(platform, many_lines)
    items *= 500 // len(items)
    for body in (
        b'{"id": ' + b"9" * 1_000_000 + b"}",
        json.dumps({"id": "9" * 1_000_000}).encode(),
        b"[" * 500_000 + b"]" * 500_000,
        b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
        b"[" + b"null," * 200_000 + b"null]",
        b'{"id": NaN, "total": Infinity}',
        json.dumps(many_lines).encode(),
    ):
        status, receipt = post(app, platform, body)
        assert status == 200 and receipt["reason"], (body[:20], receipt)


def lines_of(platform: str, body: dict[str, Any]) -> list[Any]:
    """Return the list of an order's lines, as it stands in the body."""
    order = inner(body, PLATFORMS[platform].order)
    names = {"stripe": "lines", "saleor": "lines", "standard": "items"}
    lines = order[names.get(platform, "line_items")]
    return lines["data"] if platform == "stripe" else lines  # type: ignore[no-any-return]
