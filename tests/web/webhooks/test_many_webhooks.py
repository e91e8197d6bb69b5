"""Thousands of webhooks of every format at once: repeated, reordered, changed, unpaid, forged."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import relay_variables
from flask import Flask
from platform_webhooks import PLATFORMS, SECRET, fixture, inner, profile, signed_headers
from processes import wait_until
from smtp_server import Sink

ORDERS = 100
#: What is posted about each order, in any order, 1,000 webhooks of each format.
KINDS = ("placed", "again", "again", "updated", "updated", "unpaid", "other topic", "forged", "changed byte", "stale")
FORGED = ("forged", "changed byte", "stale")

Webhook = tuple[str, int, str]


def body_of(platform: str, number: int, kind: str) -> bytes:
    it = PLATFORMS[platform]
    body = fixture(platform)
    order = inner(body, it.order)
    # Each forged order has an id and an address of its own, so that a mail of it would be noticed.
    order[it.order_id] = int(f"{number + 1}{FORGED.index(kind)}") if kind in FORGED else number + 1000
    if not isinstance(inner(fixture(platform), it.order)[it.order_id], int):
        order[it.order_id] = f"A{order[it.order_id]}"
    inner(order, it.email[:-1])[it.email[-1]] = (
        f"{platform}-{number}-{'forged' if kind in FORGED else 'real'}@example.com"
    )
    if kind == "updated":
        order[it.note] = f"Ring twice, {number}"
    if kind == "unpaid" and it.paid:
        order[it.paid] = it.unpaid
        order.pop("date_paid_gmt", None)
    return json.dumps(body).encode()


def post(app: Flask, webhook: Webhook) -> tuple[str, str, int]:
    platform, number, kind = webhook
    body = body_of(platform, number, kind)
    secret = SECRET[:6] + SECRET[:5:-1] if kind == "forged" else SECRET
    has_time = platform in ("standard", "stripe")
    headers = dict(signed_headers(platform, body, secret, time.time() - 400 if kind == "stale" and has_time else None))
    if kind == "stale" and not has_time:
        headers = {name: value for name, value in headers.items() if "Sig" not in name and "Hmac" not in name}
    if kind == "changed byte":
        body = body.replace(b"example.com", b"example.org")
    if kind == "other topic":
        headers[PLATFORMS[platform].topic_header] = "product.updated"
    response = app.test_client().post(f"/api/webhooks/orders/{platform}", data=body, headers=headers)
    return platform, kind, response.status_code


def test_each_order_has_one_mail_and_none_is_forged(
    sink: tuple[Sink, int], start_app: Callable[..., Flask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    for platform in PLATFORMS:
        (tmp_path / f"{platform}.toml").write_text(profile(platform))
    app = start_app(**relay_variables(sink[1], SHOPS_DIR=str(tmp_path)))
    webhooks = [(platform, number, kind) for platform in PLATFORMS for number in range(ORDERS) for kind in KINDS]
    random.Random(17).shuffle(webhooks)
    with ThreadPoolExecutor(8) as threads:
        answers = Counter(threads.map(lambda webhook: post(app, webhook), webhooks))
    assert answers == Counter(
        (platform, kind, 401 if kind in FORGED else 200)
        for platform in PLATFORMS
        for kind in KINDS
        for _ in range(ORDERS)
    )
    expected = {f"{platform}-{number}-real@example.com": 1 for platform in PLATFORMS for number in range(ORDERS)}
    sink[0].wait_for(len(expected))
    runtime = app.extensions["orderconfirm"]
    wait_until(lambda: runtime.health().stats.pending == 0)
    assert Counter(sink[0].recipients) == expected
