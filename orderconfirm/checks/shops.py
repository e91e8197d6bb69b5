"""The profiles of the shops: all problems at once."""

from __future__ import annotations

from collections.abc import Iterator

from orderconfirm.checks.findings import Finding, error, ok, skipped
from orderconfirm.errors import SettingsError, TemplateError
from orderconfirm.mail.shop_renderers import ShopRenderers
from orderconfirm.settings import Settings
from orderconfirm.shops import Shops


def examine_shops(settings: Settings) -> Iterator[Finding]:
    """Read every profile in SHOPS_DIR, and compile its templates."""
    if not settings.shops_dir:
        yield skipped("profiles", "SHOPS_DIR is not set")
        return
    try:
        shops = Shops(settings)
        ShopRenderers(settings, shops)
    except SettingsError as exc:
        yield from (error("profiles", problem, "correct the profile, or the variable") for problem in exc.problems)
        return
    except TemplateError as exc:
        yield error("profiles", str(exc), "correct the profile, or its templates")
        return
    yield ok("profiles", f"complete for {len(shops.profiles)} shops: {' '.join(shops.profiles)}")
