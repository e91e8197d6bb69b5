"""Holds the documentation true: links, commands, settings, files, field lists, languages. Run by `make check`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from babel import Locale

from orderconfirm import create_app
from orderconfirm.mail.i18n import Languages
from orderconfirm.mail.template_context import CompanyView, LineView, OrderView, SumView
from orderconfirm.metrics.table import ALL
from orderconfirm.order.schemas import AddressSchema, AdjustmentSchema, CustomerSchema, ItemSchema, OrderSchema
from orderconfirm.settings import Settings

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))
#: Variables of libpq.
LIBPQ = {"PGHOST", "PGUSER", "PGPASSFILE", "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT"}
#: Names in capitals that are no settings of the service.
NOT_SETTINGS = LIBPQ | {
    "AWS_DEPLOY_ROLE",
    "AWS_IMAGE_ROLE",
    "AWS_REGION",
    "AWS_STACK",
    "DATABASE",
    "DATABASE_CA_URL",
    "ECR_REPOSITORY",
    "EXTRA_PACKAGES",
    "FLASK_SKIP_DOTENV",
    "NAME",
    "OLDEST_COMPATIBLE",
    "ORDERCONFIRM_API_KEY",
    "ORDERCONFIRM_URL",
    "TEST_DATABASE_URL",
    "UPDATE",
    "RFC",
    "SHOP_KEY",
    "SIGKILL",
    "SOURCE",
    "VERSION",
}

#: Rows of the documentation that list the names of a part: the page, the row's start, the names.
PARTS = (
    ("api.md", "| `customer`", tuple(CustomerSchema().fields)),
    ("api.md", "| `items`", tuple(ItemSchema().fields)),
    ("api.md", "| `adjustments`", tuple(AdjustmentSchema().fields)),
    ("api.md", "| `shipping_address`", tuple(AddressSchema().fields)),
    ("mail.md", "| `order.lines`", tuple(each.name for each in fields(LineView))),
    ("mail.md", "| `order.sums`", tuple(each.name for each in fields(SumView))),
)

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SETTING = re.compile(r"`([A-Z][A-Z_]{3,})(?:=[^`]*)?`")
MAKE = re.compile(r"(?:^ {4}|`)make ([a-z-]+)", re.MULTILINE)
FILE = re.compile(r"`([\w.-]+(?:/[\w.-]+)*(?:/|\.(?:py|md|html|txt|json|sh|example)))`")
CONSTANT = re.compile(r"^([A-Z][A-Z_]{3,})(?:: [^=]+)? = ", re.MULTILINE)
FOLDERS = (ROOT, ROOT / "orderconfirm", ROOT / "templates")
FLASK = re.compile(r"flask ((?:outbox|hooks|shops|mail|db) [a-z-]+)")


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


def constants() -> set[str]:
    """The names of the constants in the package and its tests."""
    files = [path for pattern in ("orderconfirm/**/*.py", "tests/*.py", "tests/*/*.py") for path in ROOT.glob(pattern)]
    return {name for path in files for name in CONSTANT.findall(path.read_text(encoding="utf-8"))}


def unknown_names(text: str) -> Iterator[str]:
    known = {name for each in fields(Settings) for name in (each.metadata["env"], each.metadata["alias"])}
    for name in set(SETTING.findall(text)) - known - NOT_SETTINGS - constants():
        if not name.endswith("_FILE"):
            yield f"{name} is no setting"
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    yield from (f"make {name} does not exist" for name in set(MAKE.findall(text)) - set(targets))
    groups = create_app(Settings()).cli.commands
    known_commands = {
        f"{group} {name}" for group in ("outbox", "hooks", "shops", "mail", "db") for name in groups[group].commands
    }  # type: ignore[attr-defined]
    yield from (f"flask {command} does not exist" for command in set(FLASK.findall(text)) - known_commands)


def read(page: str) -> str:
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


def first_column(page: str, heading: str) -> set[str]:
    """The names in backticks in the first column of the first table below a heading.

    A name that begins with a dot has the first word of the row's first name before it, as in `order.date`, `.total`.
    """
    text = read(page).split(f"{heading}\n", 1)[1]
    names = set()
    for row in re.findall(r"^\| (`[^|]*) \|", text.split("\n#", 1)[0], re.MULTILINE):
        found = re.findall(r"`([^`]+)`", row)
        prefix = found[0].split(".")[0]
        names |= {f"{prefix}{name}" if name.startswith(".") else name for name in found}
    return names


def template_variables() -> set[str]:
    parts = {"company": CompanyView, "order": OrderView}
    views = {f"{prefix}.{each.name}" for prefix, view in parts.items() for each in fields(view)}
    return views | {name for name in Languages([], "en").get("en").context if not name.endswith("gettext")}


def differences(page: str, documented: set[str], actual: set[str]) -> Iterator[str]:
    yield from (f"{page}: {name} is not documented" for name in sorted(actual - documented))
    yield from (f"{page}: {name} does not exist" for name in sorted(documented - actual))


def wrong_tables() -> Iterator[str]:
    """Field names that a table lacks or invents: of orders in api.md, of templates in mail.md."""
    order_fields = first_column("api.md", "## Place an order: `POST /api/order-confirmation`")
    yield from differences("docs/api.md", order_fields, set(OrderSchema().fields))
    yield from differences("docs/mail.md", first_column("mail.md", "### What templates see"), template_variables())
    for page, start, names in PARTS:
        row = next(row for row in read(page).splitlines() if row.startswith(start))
        yield from (
            f"docs/{page}: {name} is missing after {start}" for name in names if not re.search(rf"\b{name}\b", row)
        )


def wrong_languages() -> Iterator[str]:
    """The number of languages in README.md and CHANGELOG.md, and their names in docs/mail.md."""
    languages = [Locale.parse(name) for name in Languages([ROOT / "templates"], "en").available]
    for page in ("README.md", "CHANGELOG.md"):
        if f"{len(languages)} languages" not in (ROOT / page).read_text(encoding="utf-8"):
            yield f"{page}: there are {len(languages)} languages"
    listed = re.search(r"\bcatalogues\s+for\s+([^.]*)\.", read("mail.md"))
    named = set(re.findall(r"[A-Z][a-z]+", listed[1] if listed else ""))
    # The sentences themselves are English, so it has no catalogue.
    expected = {str(each.english_name).partition(" ")[0] for each in languages} - {"English"}
    yield from differences("docs/mail.md", named, expected)


def wrong_metrics() -> Iterator[str]:
    """Rows about metrics in docs/operations.md that differ from the table in the code."""
    documented = set(re.findall(r"^\| `orderconfirm_.*$", read("operations.md"), re.MULTILINE))
    rows = ((f"`{each.full_name}`", each.kind, ", ".join(each.labels), each.meaning) for each in ALL)
    yield from differences(
        "docs/operations.md", documented, {f"| {' | '.join(row)} |".replace("  ", " ") for row in rows}
    )


def missing_files(text: str) -> Iterator[str]:
    """Paths in backticks that lead to no file, neither from the top nor from the package or the templates."""
    for path in set(FILE.findall(text)):
        if not any((folder / path).exists() for folder in FOLDERS):
            yield f"{path} does not exist"


def main() -> int:
    problems = [
        *wrong_tables(),
        *wrong_languages(),
        *wrong_metrics(),
    ]
    problems += [
        f"{page.relative_to(ROOT)}: {problem}"
        for page in PAGES
        for text in [page.read_text(encoding="utf-8")]
        for problem in (*bad_links(page, text), *unknown_names(text), *missing_files(text))
    ]
    print(*problems, sep="\n", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
