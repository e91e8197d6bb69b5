"""Alembic's commands on one connection, each complete or without effect."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, MetaData, String, Table

from orderconfirm.errors import SchemaMismatch

log = logging.getLogger(__name__)

#: Milliseconds that a statement waits for a lock on PostgreSQL. Every other statement on the table waits behind it.
LOCK_TIMEOUT = 1000
#: Seconds after which a migration gives up if it does not get its locks, and between two tries.
GIVE_UP_AFTER = 120.0
RETRY_INTERVAL = 1.0
#: PostgreSQL's lock_not_available and deadlock_detected.
_LOCKED_BY_OTHERS = ("55P03", "40P01")

#: One row: the oldest revision whose code may still write to the database.
_compatibility = Table("schema_compatibility", MetaData(), Column("oldest_revision", String(32), nullable=False))


@dataclass(frozen=True, slots=True)
class Migration:
    """A revision of the code: its number, its title, and the oldest revision whose code works with it."""

    number: str
    title: str
    oldest_compatible: str


class Migrator:
    """The migrations in `folder`, for the database at the other end of `connection`.

    On SQLite the connection is in a transaction, which its owner ends. On PostgreSQL each migration is a transaction.
    """

    def __init__(self, connection: Connection, folder: Path) -> None:
        self._connection = connection
        self._config = _config(folder)
        self._config.attributes.update(connection=connection, on_version_apply=self._record_compatibility)
        self._script = ScriptDirectory.from_config(self._config)

    def upgrade(self, name: str) -> None:
        """Apply the next migration. Raises SchemaMismatch when it fails, DBAPIError when the connection is lost."""
        self._run(command.upgrade, name, name.partition("_")[0])

    def downgrade(self, name: str, number: str) -> None:
        """Undo the last migration, `name`, back to revision `number`. Raises like `upgrade`."""
        self._run(command.downgrade, name, number)

    def adopt(self, number: str) -> None:
        """Record `number` in a database that has that revision's tables but no revision record."""
        command.stamp(self._config, number)

    def _run(self, run: Callable[[Config, str], None], name: str, number: str) -> None:
        give_up_at = time.monotonic() + GIVE_UP_AFTER
        while True:
            try:
                self._prepare_session()
                run(self._config, number)
                self._check_references()
                return
            except Exception as exc:  # a migration may contain any code
                if getattr(exc, "connection_invalidated", False):
                    raise
                sqlstate = getattr(getattr(exc, "orig", None), "sqlstate", None)
                if sqlstate not in _LOCKED_BY_OTHERS or time.monotonic() > give_up_at:
                    raise SchemaMismatch(_describe_failure(name, exc)) from exc
                log.warning("a migration waits for a lock", extra={"migration": name})
                time.sleep(RETRY_INTERVAL)

    def _prepare_session(self) -> None:
        if self._connection.dialect.name == "postgresql":
            self._connection.exec_driver_sql(f"SET lock_timeout = {LOCK_TIMEOUT}")
            self._connection.commit()

    def _check_references(self) -> None:
        """Raise ValueError if a migration has lost a row that others refer to. SQLite's own check is off meanwhile."""
        if self._connection.dialect.name == "sqlite":
            broken = self._connection.exec_driver_sql("PRAGMA foreign_key_check").first()
            if broken:
                raise ValueError(f"a row of {broken[0]} refers to a missing row of {broken[2]}")

    def _record_compatibility(self, ctx: MigrationContext, heads: Iterable[str], **_: Any) -> None:
        """Record what the database's new revision is compatible with. Alembic calls it within the transaction."""
        [number] = heads
        oldest = self._script.get_revision(number).module.OLDEST_COMPATIBLE
        connection = self._connection
        _compatibility.create(connection, checkfirst=True)
        connection.execute(_compatibility.delete())
        connection.execute(_compatibility.insert(), {"oldest_revision": oldest})


def list_migrations(folder: Path) -> list[Migration]:
    """Return all migrations, the oldest first."""
    scripts = ScriptDirectory.from_config(_config(folder)).walk_revisions()
    return [Migration(each.revision, each.doc, each.module.OLDEST_COMPATIBLE) for each in scripts][::-1]


def _config(folder: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return config


def _describe_failure(name: str, exc: Exception) -> str:
    reason = str(getattr(exc, "orig", exc)).strip().replace("\n", " ")
    return (
        f"the migration {name} failed and has changed nothing: {reason}. Remove the cause and try again, or continue "
        "with the previous version"
    )
