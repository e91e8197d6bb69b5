"""Holds the documentation true: its links, its commands, the settings and files that it names. Run by `make check`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from orderconfirm import create_app
from orderconfirm.settings import Settings

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))
#: Names in capitals that are no settings of the service.
NOT_SETTINGS = {"NAME", "ORDERCONFIRM_API_KEY", "ORDERCONFIRM_URL", "TEST_DATABASE_URL", "UPDATE", "RFC", "SIGKILL"}

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SETTING = re.compile(r"`([A-Z][A-Z_]{3,})(?:=[^`]*)?`")
MAKE = re.compile(r"(?:^ {4}|`)make ([a-z-]+)", re.MULTILINE)
FLASK = re.compile(r"flask ((?:outbox|mail) [a-z-]+)")


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def bad_links(page: Path, text: str) -> Iterator[str]:
    for link in LINK.findall(text):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield f"the link {link} leads nowhere"


def unknown_names(text: str) -> Iterator[str]:
    known = {name for each in fields(Settings) for name in (each.metadata["env"], each.metadata["alias"])}
    for name in set(SETTING.findall(text)) - known - NOT_SETTINGS:
        if not name.endswith("_FILE"):
            yield f"{name} is no setting"
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    yield from (f"make {name} does not exist" for name in set(MAKE.findall(text)) - set(targets))
    groups = create_app(Settings()).cli.commands
    known_commands = {f"{group} {name}" for group in ("outbox", "mail") for name in groups[group].commands}  # type: ignore[attr-defined]
    yield from (f"flask {command} does not exist" for command in set(FLASK.findall(text)) - known_commands)


def main() -> int:
    problems = [
        f"{page.relative_to(ROOT)}: {problem}"
        for page in PAGES
        for text in [page.read_text(encoding="utf-8")]
        for problem in (*bad_links(page, text), *unknown_names(text))
    ]
    print(*problems, sep="\n", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
