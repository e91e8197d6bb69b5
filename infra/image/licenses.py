"""Prints name, version and licence of each package in a CycloneDX bill of materials: `licenses.py sbom.json`."""

import json
import sys
from pathlib import Path

#: Served by the documentation pages, and not installed by pip.
VENDORED = (("redoc", "3.0.1", "MIT"), ("swagger-ui (in flask-swagger-ui)", "", "Apache-2.0"))


def licence(component: dict) -> str:
    """Return what the package declares: an SPDX expression or the ids of licences, otherwise their names."""
    declared = component.get("licenses", [])
    names = [each["license"].get("name", "").rpartition(" :: ")[2] for each in declared if "license" in each]
    ids = [each.get("expression") or each["license"].get("id") for each in declared]
    return ", ".join(dict.fromkeys(filter(None, ids))) or ", ".join(filter(None, names)) or "not declared"


if __name__ == "__main__":
    components = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["components"]
    rows = [(each["name"], each["version"], licence(each)) for each in components]
    for row in sorted([*rows, *VENDORED]):
        print(*row, sep="\t")
