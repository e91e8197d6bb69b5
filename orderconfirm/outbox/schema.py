"""The database schema's revision: compatibility checks, upgrades and downgrades.

This module does not import Alembic, which takes a quarter of a second and 8 MB. At a usual start it reads one row.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from orderconfirm.errors import DatabaseUnreachable, OutboxUnavailable, SchemaMismatch
from orderconfirm.outbox.postgres_connection import is_unreachable

if TYPE_CHECKING:
    from orderconfirm.outbox.migrations.migrator import Migration, Migrator

log = logging.getLogger(__name__)

#: The folder of the migrations, whose files begin with the number of their revision.
MIGRATIONS = Path(__file__).parent / "migrations"

_READ = text("SELECT version_num, oldest_revision FROM alembic_version CROSS JOIN schema_compatibility")
#: PostgreSQL's undefined_table.
_UNDEFINED_TABLE = "42P01"


@dataclass(frozen=True, slots=True)
class Revision:
    """The revision of a database, and the oldest revision whose code may write to it."""

    number: str
    oldest_compatible: str


class Schema:
    """The tables of one database. Methods raise OutboxUnavailable when the database cannot be used.

    It is the subclass SchemaMismatch when waiting does not help.
    """

    def __init__(
        self, reading: Engine, migrating: Engine, folder: Path = MIGRATIONS, label: str = "the database of DATABASE_URL"
    ) -> None:
        """`reading` and `migrating` are engines for the same database, which errors call `label`."""
        self._label = label
        self._reading = reading
        self._migrating = migrating
        self._folder = folder
        #: The names of the migrations, the oldest first, like 0001_tables.
        self.migrations = sorted(path.stem for path in (folder / "versions").glob("[0-9]*.py"))

    @property
    def head(self) -> str:
        """The revision that this version of the code has been written for."""
        return _number(self.migrations[-1])

    def make_usable(self, may_migrate: bool) -> None:
        """Make sure that this version can use the tables. If it `may_migrate`, it applies pending migrations."""
        found = self.revision()
        pending = self.pending(found)
        if pending and not may_migrate:
            raise SchemaMismatch(
                f"{self._name} is out of date, pending {', '.join(pending)}: run flask db upgrade, or set "
                "AUTO_MIGRATE=true"
            )
        if pending:
            self.upgrade()
        elif found:
            self._check_newer(found)

    def revision(self) -> Revision | None:
        """Return the database's revision; None if it has none, because it is empty or older than the first one."""
        with self._errors_named():
            file = self._file
            if file and not file.exists():
                return None
            try:
                with self._reading.connect() as connection:
                    row = connection.execute(_READ).first()
            except DBAPIError as exc:
                if not _is_table_missing(exc):
                    raise
                return None
            return Revision(*row) if row else None

    def pending(self, found: Revision | None) -> list[str]:
        """Return the names of the migrations that a database of revision `found` lacks, in order."""
        return [name for name in self.migrations if found is None or _number(name) > found.number]

    def upgrade(self) -> list[str]:
        """Apply the pending migrations, unless another process does, and return the names of those applied here."""
        with self._migrator() as migrator:
            found = self.revision()  # another process may have migrated meanwhile
            pending = self.pending(found)
            if found:
                self._check_newer(found)
            elif self._is_adoptable():
                migrator.adopt(_number(pending.pop(0)))
            for name in pending:
                migrator.upgrade(name)
        if pending:
            log.info("the database was migrated", extra={"migrations": ", ".join(pending)})
        return pending

    def downgrade(self, target: str | None = None) -> list[str]:
        """Undo migrations down to revision `target`, by default the last one, and return the names of those undone.

        No process of this version must be running.
        """
        with self._migrator() as migrator:
            undone = self._names_above(target, self.revision())
            for name in undone:
                migrator.downgrade(name, self._number_before(name))
        log.info("migrations were undone", extra={"migrations": ", ".join(undone)})
        return undone

    def describe(self) -> list[Migration]:
        """Return all migrations that this version has, the oldest first."""
        from orderconfirm.outbox.migrations.migrator import list_migrations

        return list_migrations(self._folder)

    @contextmanager
    def _migrator(self) -> Iterator[Migrator]:
        """Yield a migrator, holding the database's migration lock."""
        from orderconfirm.outbox.migrations.lock import migration_lock
        from orderconfirm.outbox.migrations.migrator import Migrator

        with self._errors_named():
            self._create_file()
            with migration_lock(self._migrating) as connection:
                yield Migrator(connection, self._folder)

    def _is_adoptable(self) -> bool:
        from orderconfirm.outbox.migrations.adoption import is_adoptable

        return is_adoptable(self._reading, self._folder, self.migrations[0])

    def _names_above(self, target: str | None, found: Revision | None) -> list[str]:
        """Return the names of the migrations to undo, the newest first. Raises SchemaMismatch if that is impossible."""
        numbers = [_number(name) for name in self.migrations]
        if found is None:
            raise SchemaMismatch(f"{self._name} has no revision: run flask db upgrade first")
        if found.number not in numbers:
            raise SchemaMismatch(f"{self._name} has revision {found.number}: undo it with the version that made it")
        at = numbers.index(found.number)
        if target is None and at:
            target = numbers[at - 1]
        if target not in numbers[:at]:
            earlier = f"choose one of {', '.join(numbers[:at])}" if at else "no revision is before it"
            raise SchemaMismatch(f"{self._name} has revision {found.number}: {earlier}")
        return self.migrations[at : numbers.index(target) : -1]

    def _number_before(self, name: str) -> str:
        return _number(self.migrations[self.migrations.index(name) - 1])

    def _check_newer(self, found: Revision) -> None:
        """Raise SchemaMismatch when a newer version has made a change that this one cannot work with."""
        if found.number <= self.head:
            return
        if found.oldest_compatible > self.head:
            raise SchemaMismatch(
                f"{self._name} has revision {found.number}, which needs a version with revision "
                f"{found.oldest_compatible} or later; this one has {self.head}: start a newer version, or undo the "
                f"migrations with the version that made them: flask db downgrade {self.head}"
            )
        log.info(
            "the database is newer than this version, but compatible with it",
            extra={"database": found.number, "version": self.head},
        )

    @property
    def _file(self) -> Path | None:
        """SQLite's file."""
        name = self._migrating.url.database
        return Path(name) if self._migrating.dialect.name == "sqlite" and name else None

    def _create_file(self) -> None:
        if self._file:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.touch(mode=0o600)  # it contains personal data; SQLite gives the log files the same mode

    @property
    def _name(self) -> str:
        return f"{self._label} ({self._migrating.dialect.name} {self._migrating.url.database})"

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, OSError) as exc:
            reason = getattr(exc, "orig", exc)
            kind = DatabaseUnreachable if is_unreachable(reason) else OutboxUnavailable
            raise kind(f"{self._name} cannot be opened: {reason}") from exc


def _number(name: str) -> str:
    """Return the revision of the migration `name`."""
    return name.partition("_")[0]


def _is_table_missing(exc: DBAPIError) -> bool:
    return getattr(exc.orig, "sqlstate", None) == _UNDEFINED_TABLE or "no such table" in str(exc.orig)
