"""Draws the pictures of the mail and of the pages in docs/: `make pictures`."""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from chromium import HOW_TO_INSTALL, Scheme, find_chromium, launch, shown
from playwright.sync_api import Browser, sync_playwright
from processes import free_port, service
from sample_outbox import ORDER, sample_outbox

from orderconfirm.mail.renderer import MailRenderer
from orderconfirm.order.samples import SAMPLES
from orderconfirm.settings import ROOT, Settings

SETTINGS = Settings(
    company_name="Fjord & Field",
    company_address="12 Harbour Lane\nBergen",
    website_url="https://shop.example",
    logo_url="https://shop.example/logo.png",
    from_header="Fjord & Field <orders@shop.example>",
    brand_color="#1f5fbf",
    returns_url="https://shop.example/returns",
    help_url="https://shop.example/help",
    legal_notice="VAT NO 123 456 789 MVA",
)
#: File in docs/: sample, width and colour scheme.
PICTURES: dict[str, tuple[str, int, Scheme]] = {
    "mail-full.png": ("full", 600, "light"),
    "mail-full-dark.png": ("full", 320, "dark"),
    "mail-right-to-left.png": ("right to left", 320, "light"),
    "mail-two-lines.png": ("two lines", 320, "light"),
}
#: File in docs/: path, width and height of the window, and colour scheme.
PAGES: dict[str, tuple[str, int, int, Scheme]] = {
    "outbox.png": ("/outbox", 1280, 800, "light"),
    "outbox-phone-dark.png": ("/outbox", 360, 800, "dark"),
    "outbox-order.png": (f"/outbox/default/{ORDER}", 1280, 900, "light"),
}
LOGO = """<svg xmlns="http://www.w3.org/2000/svg" width="176" height="40" viewBox="0 0 176 40">
<circle cx="20" cy="20" r="18" fill="#1f5fbf"/>
<path d="M6 26 15 13l6 8 4-5 9 10" fill="none" stroke="#fff" stroke-width="3" stroke-linejoin="round"/>
<text x="48" y="27" font-family="sans-serif" font-size="19" font-weight="700" fill="#1b2028">Fjord &amp; Field</text>
</svg>"""
PRODUCT = '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64" viewBox="0 0 64 64">{}</svg>'
PRODUCTS = {
    "blanket": """<rect width="64" height="64" fill="#e4ece2"/>
<path d="M12 20h40v10H12zM12 32h40v10H12zM12 44h40v8H12z" fill="#5b7a5a"/>
<path d="M12 23h40M12 35h40M12 47h40" stroke="#8fa98b" stroke-width="2"/>""",
    "n": """<rect width="64" height="64" fill="#f1e9dc"/>
<path d="m32 12 20 20-20 20-20-20z" fill="#d9c7a7"/><path d="m32 20 12 12-12 12-12-12z" fill="#e9dcc3"/>
<path d="m32 12 20 20-20 20-20-20z" fill="none" stroke="#b59f77" stroke-width="1.5" stroke-dasharray="3 2"/>""",
    "h": """<rect width="64" height="64" fill="#e3e8f1"/>
<path d="M16 38v-4a16 16 0 0 1 32 0v4" fill="none" stroke="#2c3645" stroke-width="4"/>
<rect x="11" y="36" width="10" height="16" rx="4" fill="#2c3645"/>
<rect x="43" y="36" width="10" height="16" rx="4" fill="#2c3645"/>""",
}


def draw(url: str) -> str:
    """The picture that a sample order or the shop's settings name."""
    name = PurePosixPath(urlsplit(url).path).stem
    return LOGO if name == "logo" else PRODUCT.format(PRODUCTS[name])


def draw_pages(browser: Browser) -> None:
    """Draw the compose page with a sent order, and its mail in the inbox."""
    port, shop = free_port(), {"COMPANY_NAME": SETTINGS.company_name, "LOGO_URL": SETTINGS.logo_url or ""}
    sender = {"EMAIL_SENDER": "Fjord & Field <orders@fjord-and-field.com>", "WEBSITE_URL": SETTINGS.website_url or ""}
    with TemporaryDirectory() as folder, service(Path(folder), port, free_port(), MAIL_SERVER="", **shop, **sender):
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.route(
            "https://shop.example/**",
            lambda route: route.fulfill(content_type="image/svg+xml", body=draw(route.request.url)),
        )
        page.goto(f"http://localhost:{port}/")
        page.locator("#sample").select_option("Every field")
        page.frame_locator("#mail-frame").get_by_text("Wool blanket", exact=True).wait_for()
        page.screenshot(path=ROOT / "docs" / "compose.png")
        page.get_by_role("button", name="Send the order").click()
        page.get_by_role("link", name="Read the mail").click()
        page.frame_locator("#mail-frame").get_by_text("Wool blanket", exact=True).wait_for()
        page.screenshot(path=ROOT / "docs" / "inbox.png")


def main() -> None:
    if not find_chromium():
        sys.exit(HOW_TO_INSTALL)
    renderer = MailRenderer(SETTINGS, [ROOT / "templates"])
    with sync_playwright() as playwright, launch(playwright) as browser:
        for file, (sample, width, scheme) in PICTURES.items():
            html = renderer.render(SAMPLES[sample]).html
            with shown(browser, html, width, scheme, draw) as (page, _):
                page.screenshot(path=ROOT / "docs" / file, full_page=True)
        draw_pages(browser)
        with TemporaryDirectory() as folder, sample_outbox(Path(folder)) as address:
            for file, (path, width, height, scheme) in PAGES.items():
                draw_page(browser, f"{address}{path}", ROOT / "docs" / file, width, height, scheme)


def draw_page(browser: Browser, url: str, file: Path, width: int, height: int, scheme: Scheme) -> None:
    size = {"width": width, "height": height}
    with browser.new_context(viewport=size, color_scheme=scheme) as context:  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(url, wait_until="networkidle")
        page.screenshot(path=file)


if __name__ == "__main__":
    main()
