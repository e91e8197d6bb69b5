"""Databases of other revisions, other versions of the code, and what a database consists of."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
from processes import ROOT
from sqlalchemy import Engine, create_engine

from orderconfirm.outbox.engines import migrating_engine, reading_engine
from orderconfirm.outbox.migrations.lock import migration_lock
from orderconfirm.outbox.migrations.migrator import Migrator
from orderconfirm.outbox.schema import MIGRATIONS, Schema

#: Files of released versions with the waiting orders K1, K2 and K3, as SQL, by their revision.
RELEASED = {path.stem.removeprefix("revision_"): path for path in Path(__file__).parent.glob("outbox/revision_*.sql")}

#: The migrations of this version, the oldest first, and the number of the last one.
NAMES = sorted(path.stem for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
HEAD = NAMES[-1][:4]
#: A migration that a later version could have.
NEXT_NUMBER = f"{int(HEAD) + 1:04}"
NEXT = f"{NEXT_NUMBER}_next"


def write_version(root: Path, upgrade: str, downgrade: str = "pass", oldest_compatible: str = HEAD) -> Path:
    """Copy the migrations, with one more whose body is `upgrade`, to a folder for a `Schema`, and return it."""
    folder = root / "migrations"
    shutil.copytree(MIGRATIONS, folder, dirs_exist_ok=True)
    _add_migration(folder, upgrade, downgrade, oldest_compatible)
    return folder


def write_service(root: Path, upgrade: str, oldest_compatible: str = HEAD) -> Path:
    """Copy the whole service, with one more migration, to a folder, and return that."""
    for name in ("orderconfirm", "templates", "examples"):
        shutil.copytree(ROOT / name, root / name)
    for name in ("wsgi.py", "gunicorn.conf.py"):
        shutil.copy(ROOT / name, root / name)
    _add_migration(root / "orderconfirm" / "outbox" / "migrations", upgrade, "pass", oldest_compatible)
    return root


def _add_migration(folder: Path, upgrade: str, downgrade: str, oldest_compatible: str) -> None:
    (folder / "versions" / f"{NEXT}.py").write_text(
        f'''"""Something new."""

import sqlalchemy as sa
from alembic import op
from orderconfirm.outbox.migrations.indexes import create_index, drop_index

revision, down_revision, OLDEST_COMPATIBLE = "{NEXT_NUMBER}", "{HEAD}", "{oldest_compatible}"


def upgrade():
    {upgrade}


def downgrade():
    {downgrade}
''',
        encoding="utf-8",
    )


@contextmanager
def schema(url: str, folder: Path = MIGRATIONS) -> Iterator[Schema]:
    """The schema of a database, as the version with these migrations sees it."""
    reading, migrating = reading_engine(url), migrating_engine(url)
    try:
        yield Schema(reading, migrating, folder)
    finally:
        reading.dispose()
        migrating.dispose()


def make_released(url: str, revision: str, is_recorded: bool = False) -> None:
    """Make a database of a released revision with three waiting orders, as its versions made it.

    With `is_recorded`, a version that had migrations made it.
    """
    with schema(url) as made:
        made._create_file()
        with migration_lock(made._migrating) as connection:
            for name in made.migrations:
                if name[:4] <= revision:
                    Migrator(connection, MIGRATIONS).upgrade(name)
    script = RELEASED[revision].read_text(encoding="utf-8")
    if url.startswith("sqlite") and not is_recorded:
        path = Path(url.removeprefix("sqlite:///"))
        path.unlink()
        with closing(sqlite3.connect(path)) as file:
            file.executescript(script)
            file.execute("PRAGMA journal_mode=WAL").close()
        return
    rows = [row for row in re.findall("^INSERT INTO .*$", script, re.MULTILINE) if not _OF_RECORDS.search(row)]
    rows.sort(key=lambda row: '"outbox"' not in row)  # the other tables refer to it
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            file.executescript("".join(rows))
            file.commit()
        return
    with psycopg.connect(url) as server:
        for row in rows:
            server.execute(row)
        for table in ("outbox", "history"):
            server.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")
        if not is_recorded:
            server.execute("DROP TABLE alembic_version, schema_compatibility")


def content(url: str) -> list[tuple[object, ...]]:
    """The definitions of all tables, columns, constraints and indexes, and all rows of the outbox."""
    queries = _SQLITE if url.startswith("sqlite") else _POSTGRESQL
    engine = _engine(url)
    with engine.connect() as connection:
        found = [tuple(row) for query in queries for row in connection.exec_driver_sql(query)]
        if any("outbox" in row for row in found):
            found += [tuple(row) for row in connection.exec_driver_sql("SELECT * FROM outbox ORDER BY id")]
    engine.dispose()
    return found


def execute(url: str, *statements: str) -> None:
    engine = _engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def _engine(url: str) -> Engine:
    return create_engine(url.replace("postgresql://", "postgresql+psycopg://"))


_OF_RECORDS = re.compile('"(alembic_version|schema_compatibility)"')
_RECORDS = "('alembic_version', 'schema_compatibility')"
_TABLES = f"sqlite_master t JOIN {{}}(t.name) p WHERE t.type = 'table' AND t.name NOT IN {_RECORDS} ORDER BY 1, 2"
_SQLITE = (
    f'SELECT t.name, p.name, p.type, p."notnull", p.dflt_value, p.pk FROM {_TABLES.format("pragma_table_info")}',
    f'SELECT t.name, p.name, p."unique", p.origin, p.partial FROM {_TABLES.format("pragma_index_list")}',
    f'SELECT t.name, p."from", p."table", p."to" FROM {_TABLES.format("pragma_foreign_key_list")}',
    f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name NOT IN {_RECORDS} ORDER BY 1",
)
_POSTGRESQL = (
    "SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default"
    f" FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT IN {_RECORDS} ORDER BY 1, 2",
    "SELECT tablename, indexname, indexdef FROM pg_indexes"
    f" WHERE schemaname = 'public' AND tablename NOT IN {_RECORDS} ORDER BY 1, 2",
    "SELECT conrelid::regclass::text AS name, conname, pg_get_constraintdef(oid) FROM pg_constraint"
    f" WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT IN {_RECORDS} ORDER BY 1, 2",
)
