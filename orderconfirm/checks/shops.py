"""The profiles of the shops: all problems at once."""

from __future__ import annotations

from collections.abc import Iterator

from orderconfirm.checks.findings import Finding, error, ok, skipped
from orderconfirm.errors import SettingsError
from orderconfirm.settings import Settings
from orderconfirm.shops import Shops


def examine_shops(settings: Settings) -> Iterator[Finding]:
    """Read every profile in SHOPS_DIR."""
    if not settings.shops_dir:
        yield skipped("profiles", "SHOPS_DIR is not set")
        return
    try:
        profiles = Shops(settings).profiles
    except SettingsError as exc:
        yield from (error("profiles", problem, "correct the profile, or the variable") for problem in exc.problems)
        return
    yield ok("profiles", f"complete for {len(profiles)} shops: {' '.join(profiles)}")
