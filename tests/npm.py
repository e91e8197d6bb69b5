"""The npm packages of tests/package.json."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "node_modules"


def package_file(path: str) -> Path:
    """A file of an installed package; skips the test when the packages are not installed."""
    file = FOLDER / path
    if not file.exists():
        pytest.skip(f"{path} is not installed: get Node.js 20.19 or later and run npm ci --prefix tests")
    return file
