"""Databases with tables but without a revision: those of the versions before there were migrations, and others."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, inspect

from orderconfirm.errors import SchemaMismatch
from orderconfirm.outbox.migrations.migrator import Migrator

#: The tables that record the revision.
_RECORDS = {"alembic_version", "schema_compatibility"}

#: The columns and indexes of each table, by name.
_Tables = dict[str, set[str]]


def is_adoptable(database: Engine, folder: Path, first: str) -> bool:
    """Whether the database has the tables of the migration `first`. False if it has none of them.

    Raises SchemaMismatch when it has only some of them, or the revision of another application.
    """
    names = set(inspect(database).get_table_names())
    if names & _RECORDS:
        raise SchemaMismatch(
            f"the database has {' and '.join(sorted(names & _RECORDS))}, but not the revision of this service: nothing "
            "was changed. Give the service a database of its own, or restore the database from a backup"
        )
    expected = _tables_of(folder, first) if names else {}
    if not names & expected.keys():
        return False
    missing = _missing(expected, _tables(database, names & expected.keys()))
    if missing:
        raise SchemaMismatch(
            f"the database was made by a version before revision {first}; it lacks {', '.join(missing)}: nothing was "
            "changed. Send its waiting orders with the version that made it, then start this one with a new database"
        )
    return True


def _tables_of(folder: Path, first: str) -> _Tables:
    """Return the tables that the migration creates, by running it in memory."""
    memory = create_engine("sqlite://")
    try:
        with memory.begin() as connection:
            Migrator(connection, folder).upgrade(first)
            return _tables(connection, set(inspect(connection).get_table_names()) - _RECORDS)
    finally:
        memory.dispose()


def _tables(database: Engine | Connection, names: set[str]) -> _Tables:
    inspector = inspect(database)
    return {
        name: {str(each["name"]) for each in (*inspector.get_columns(name), *inspector.get_indexes(name))}
        for name in names
    }


def _missing(expected: _Tables, found: _Tables) -> list[str]:
    """Return the missing tables by name, and what other tables lack, as table.column or table.index."""
    tables = sorted(expected.keys() - found.keys())
    parts = sorted(f"{name}.{part}" for name in found for part in expected[name] - found[name])
    return tables + parts
