"""The way of a newcomer whose shop runs on WooCommerce: a signed order by curl, and its mail in the inbox."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from processes import NO_RELAY, ROOT, free_port, service

SECRET = "5f1d0c7a9b3e4d2f8a6c1b0e7d9f3a5c"


def test_an_order_of_woocommerce_becomes_a_mail_under_the_brand_of_its_shop(page: Page, tmp_path: Path) -> None:
    port = free_port()
    variables = {**NO_RELAY, "SHOPS_DIR": str(ROOT / "shops"), "FJORD_WEBHOOK_SECRET": SECRET}
    with service(tmp_path, port, free_port(), **variables):
        assert '"outcome":"accepted"' in post_as_documented(port).replace(" ", "")
        page.goto(f"http://localhost:{port}/inbox")
        mail = page.locator("#mails li")
        expect(mail).to_contain_text("Fjord & Field <orders@fjord.example>", timeout=60_000)
        mail.get_by_role("link").click()
        text = page.frame_locator("iframe").first.locator("body")
        expect(text).to_contain_text("Fjord & Field")
        expect(text).to_contain_text("Bestellung")


def post_as_documented(port: int) -> str:
    """Run the commands of docs/shops.md, and return what curl prints."""
    lines = (ROOT / "docs" / "shops.md").read_text(encoding="utf-8").splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("    signature="))
    end = next(number for number in range(begin, len(lines)) if not lines[number].startswith("    "))
    commands = "\n".join(lines[begin:end]).replace("localhost:8000", f"localhost:{port}")
    environ = {**os.environ, "FJORD_WEBHOOK_SECRET": SECRET}
    done = subprocess.run(["sh", "-ec", commands], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(autouse=True)
def _tools() -> None:
    for tool in ("openssl", "curl"):
        if subprocess.run(["which", tool], capture_output=True, check=False).returncode:
            pytest.skip(f"{tool} is missing")
