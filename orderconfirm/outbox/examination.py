"""What `flask check` asks a database. Nothing is changed: the write that it tries matches no row."""

from __future__ import annotations

import time

from sqlalchemy import func, select, text

from orderconfirm.outbox.database import Database
from orderconfirm.outbox.sql import now

#: Seconds that the write waits for others.
LOCK_TIMEOUT = 2

_VERSION = {"sqlite": text("SELECT sqlite_version()"), "postgresql": text("SHOW server_version")}
_CAN_CREATE = select(func.has_schema_privilege(func.current_schema(), "CREATE"))
_TRY_TO_WRITE = text("DELETE FROM outbox WHERE id < 0")


def server_version(database: Database) -> str:
    """Return the kind and version of the database, like "PostgreSQL 15.3". Raises OutboxUnavailable, as all here."""
    with database.reading() as connection:
        version = str(connection.execute(_VERSION[database.dialect]).scalar_one())
    return f"{'SQLite' if database.dialect == 'sqlite' else 'PostgreSQL'} {version.split()[0]}"


def may_create_tables(database: Database) -> bool:
    """Whether the database's user may create tables, which migrations need. True on SQLite."""
    if database.dialect == "sqlite":
        return True
    with database.reading() as connection:
        return bool(connection.execute(_CAN_CREATE).scalar_one())


def try_to_write(database: Database) -> None:
    """Take the locks of a write, which also shows whether the database is read-only, and give them back."""
    with database.reading() as connection:
        connection.detach()  # closed at the end, with its time limit, even after the database's other connections
        if database.dialect == "sqlite":
            connection.exec_driver_sql(f"PRAGMA busy_timeout={LOCK_TIMEOUT * 1000}").close()
            # Without the turnstile: its file would belong to whoever runs the check.
            connection.exec_driver_sql("BEGIN IMMEDIATE").close()
            connection.exec_driver_sql("ROLLBACK").close()
        else:
            connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_TIMEOUT}s'")
            connection.execute(_TRY_TO_WRITE).close()


def seconds_ahead(database: Database) -> float:
    """Return by how many seconds the database's clock is ahead of this machine's."""
    with database.reading() as connection:
        before = time.time()
        at = float(connection.execute(select(now)).scalar_one())
        return at - (before + time.time()) / 2
