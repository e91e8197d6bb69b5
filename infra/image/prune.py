"""Removes what the service never reads from installed packages: `prune.py SITE_PACKAGES`. It saves 33 MB.

Fails if something to remove is not there, which happens after an upgrade: look where it has gone. If too much is gone,
self_test.py fails, the next step of the image's build.
"""

import pickle
import shutil
import sys
from pathlib import Path

UNUSED = (
    "aiosmtpd/docs",
    "aiosmtpd/tests",
    "alembic/testing",
    "mako/testing",
    "sqlalchemy/dialects/mssql",
    "sqlalchemy/dialects/mysql",
    "sqlalchemy/dialects/oracle",
    "sqlalchemy/testing",
    # Widths in single terminal programs; mails are laid out without one.
    "wcwidth/table_grapheme_overrides/_known_*.py",
)
#: The parts of CLDR's data that no mail shows. Every locale stays, because TEMPLATES_DIR may add its language.
UNUSED_CLDR = (
    "compact_currency_formats",
    "compact_decimal_formats",
    "compound_unit_patterns",
    "currency_names",
    "currency_names_plural",
    "date_fields",
    "interval_formats",
    "languages",
    "meta_zones",
    "scripts",
    "time_zones",
    "unit_display_names",
    "unit_patterns",
    "variants",
)


def remove_unused(packages: Path) -> None:
    for pattern in UNUSED:
        paths = [*packages.glob(pattern)]
        if not paths:
            raise SystemExit(f"There is no {pattern} in {packages}.")
        for path in paths:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def shrink_locales(folder: Path) -> None:
    removed = set()
    for path in folder.glob("*.dat"):
        data = pickle.loads(path.read_bytes())  # noqa: S301 - Babel's own
        removed |= data.keys() & set(UNUSED_CLDR)
        kept = {name: part for name, part in data.items() if name not in UNUSED_CLDR}
        path.write_bytes(pickle.dumps(kept, 2))
    if missing := set(UNUSED_CLDR) - removed:
        raise SystemExit(f"No locale in {folder} has {', '.join(sorted(missing))}.")


if __name__ == "__main__":
    site_packages = Path(sys.argv[1]).resolve()
    # Babel's classes are in the data.
    sys.path.insert(0, str(site_packages))
    remove_unused(site_packages)
    shrink_locales(site_packages / "babel/locale-data")
