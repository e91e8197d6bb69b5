"""The arrows: which part may import which. A new arrow is a decision, not an accident."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "orderconfirm"

#: What each part may import of the package, beside itself. Everything not named here is a leaf.
LEAVES = {
    "errors",
    "limits",
    "logs",
    "metrics",
    "models",
    "queries",
    "representation",
    "response_headers",
    "settings",
    "tracing",
    "version",
}
ALLOWED = {
    "order": LEAVES,
    "mail": LEAVES | {"order", "shops"},
    "outbox": LEAVES | {"order", "platforms"},
    "smtp": LEAVES | {"mail", "order", "shops"},
    "callbacks": LEAVES | {"outbox", "shops"},
    "platforms": {"order"},
    "shops": LEAVES | {"platforms"},
    "order_request": LEAVES | {"order", "shops"},
    "confirmations": LEAVES | {"mail", "order", "order_request", "outbox", "shops"},
    "shop_webhooks": LEAVES | {"confirmations", "order", "outbox", "platforms", "shops"},
    "webhook_silence": LEAVES | {"outbox", "shops"},
    "web": LEAVES | {"confirmations", "order", "platforms", "smtp"},
    "checks": LEAVES | {"mail", "order", "outbox", "shops", "smtp", "webhook_silence"},
    "cli": LEAVES | {"checks", "confirmations", "order", "platforms", "runtime", "shop_webhooks", "shops"},
    "relay_accounts": LEAVES | {"mail", "outbox", "shops", "smtp"},
    "runtime": LEAVES
    | {
        "callbacks",
        "confirmations",
        "mail",
        "outbox",
        "relay_accounts",
        "shop_webhooks",
        "shops",
        "smtp",
        "webhook_silence",
    },
    "server": LEAVES | {"web"},
    "__init__": LEAVES | {"cli", "runtime", "web"},
    **{leaf: {"errors", "models", "version"} for leaf in LEAVES},
    "metrics": {"errors", "models", "queries", "version"},
    "representation": {"models", "queries"},
}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "orderconfirm":
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("orderconfirm."):
            found.add(node.module.split(".")[1])
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    part = part_of(path)
    assert imported_parts(path) - {part} <= ALLOWED[part]


def test_only_the_outbox_speaks_sql() -> None:
    speaking = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "sqlalchemy" in path.read_text(encoding="utf-8")
    }
    assert all(name.startswith("outbox/") or name == "runtime.py" for name in speaking)
