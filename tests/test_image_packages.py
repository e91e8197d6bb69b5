"""What the image's packages keep after prune.py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy
from processes import ROOT

PACKAGES = Path(sqlalchemy.__file__).parents[1]
#: Prints what mails show in every locale of a supported language, and in some that need a shop's own catalogue.
SHOW = """
from datetime import UTC, datetime
from decimal import Decimal
from babel import Locale
from babel.localedata import locale_identifiers
from orderconfirm.mail import addresses, formats
from orderconfirm.mail.i18n import Languages
from orderconfirm.order.models import Address
from orderconfirm.settings import TEMPLATES

languages = Languages([TEMPLATES], "en")
supported = {name.split("_")[0] for name in languages.available} | {"no", "nn"}
own = {"bn", "hi", "hr", "my", "sk", "sr_Latn", "th", "ur", "vi"}
day = datetime(2026, 3, 5, tzinfo=UTC)
for tag in sorted(locale_identifiers()):
    if tag not in own and tag.split("_")[0] not in supported:
        continue
    locale, language = Locale.parse(tag), languages.get(tag)
    print(
        tag, language.catalogue, language.context["lang"], language.context["dir"],
        *(formats.format_money(Decimal("-12345.6"), currency, locale) for currency in ("EUR", "JPY", "XYZ")),
        formats.format_quantity(Decimal("1.5"), locale), formats.format_date(day, locale),
        formats.format_weekday(day, locale), formats.join_names(["a", "b"], locale),
        [addresses.address_lines(Address(lines=("1 A",), country=name), locale) for name in ("DE", "Sverige")],
        sep=" | ",
    )
"""


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages that prune.py changes, pruned. Without compiled ones, which it leaves alone."""
    folder = tmp_path_factory.mktemp("packages")
    for name in ("aiosmtpd", "alembic", "babel", "mako", "sqlalchemy", "wcwidth"):
        shutil.copytree(PACKAGES / name, folder / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    subprocess.run([sys.executable, "infra/image/prune.py", folder], cwd=ROOT, check=True, timeout=60)
    return folder


def shown(*folders: Path) -> list[str]:
    path = os.pathsep.join(map(str, (*folders, ROOT)))
    command = [sys.executable, "-c", SHOW]
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_mails_show_the_same_in_every_locale_with_the_locale_data_of_the_image(pruned: Path) -> None:
    expected = shown()
    assert len(expected) > 300
    assert shown(pruned) == expected


def test_the_locale_data_of_the_image_is_a_fifth(pruned: Path) -> None:
    sizes = [sum(path.stat().st_size for path in (top / "babel/locale-data").iterdir()) for top in (pruned, PACKAGES)]
    assert sizes[0] < sizes[1] / 5


def test_a_package_that_has_changed_its_place_is_reported(pruned: Path) -> None:
    done = subprocess.run(
        [sys.executable, "infra/image/prune.py", pruned], cwd=ROOT, capture_output=True, encoding="utf-8", timeout=60
    )
    assert (done.returncode, done.stderr) == (1, f"There is no aiosmtpd/docs in {pruned}.\n")
