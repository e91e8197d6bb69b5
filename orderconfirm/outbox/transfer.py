"""The transfer of an outbox to another database, while no service uses either of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Row, Table, event, func, insert, select, text, tuple_
from sqlalchemy.exc import DBAPIError

from orderconfirm.errors import OutboxUnavailable, TransferRefused
from orderconfirm.outbox.engines import migrating_engine, reading_engine, writing_engine
from orderconfirm.outbox.schema import Schema
from orderconfirm.outbox.tables import metadata, outbox, senders

if TYPE_CHECKING:
    import psycopg

#: Rows in one transaction.
BATCH = 1000
#: All tables, referenced ones first, without `senders`: no sender is running.
_TABLES = [table for table in metadata.sorted_tables if table is not senders]
_NAMES = ", ".join(table.name for table in _TABLES)
_OTHER_SESSIONS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
)
_SET_SEQUENCE = text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)")
_OTHER_ORDERS = "the target holds other data than the source, or was used meanwhile: give the URL of an empty database"

#: Makes the progress bar of a table, called with `length` and `label`; its `update` is called with a number of rows.
Progress = Callable[..., AbstractContextManager[Any]]


def transfer(source_url: str, target_url: str, progress: Progress, source_password_file: str = "") -> dict[str, int]:
    """Copy all rows to the target, with their ids, and compare both. Returns how many rows each table has.

    Rows that an interrupted transfer has copied are not copied again. Raises TransferRefused when another process
    uses one of the databases, or when the target holds other data, which may be found only after some rows are copied.
    Raises OutboxUnavailable when a database fails.
    """
    source, target = writing_engine(source_url, source_password_file), writing_engine(target_url)
    if source.url == target.url:
        raise TransferRefused("the source and the target are the same database")
    if source.dialect.name == "sqlite" and not Path(str(source.url.database)).exists():
        raise TransferRefused(f"{_name(source)} does not exist")
    try:
        _prepare("the source", source_url, source_password_file)
        _prepare("the target", target_url)
        with _opened(source), _opened(target):
            with source.connect() as reading:
                _keep_writers_away(reading)
                return _Transfer(reading, target, progress).run()
    except DBAPIError as exc:
        raise OutboxUnavailable(_first_line(exc)) from exc


class _Transfer:
    """Copies from one transaction on the source into a transaction on the target for each batch."""

    def __init__(self, source: Connection, target: Engine, progress: Progress) -> None:
        self._source = source
        self._target = target
        self._progress = progress

    def run(self) -> dict[str, int]:
        counts = {table.name: _count(self._source, table) for table in _TABLES}
        with self._target.begin() as connection:
            self._check_target(connection, counts)
        for table in _TABLES:
            self._each_batch(table, counts, self._copy, table.name)
        for table in _TABLES:
            self._each_batch(table, counts, self._compare, f"{table.name}, compared")
        with self._target.begin() as connection:
            self._check_counts(connection, counts)
            if self._target.dialect.name == "postgresql":
                _finish_postgres(connection)
        return counts

    def _check_target(self, connection: Connection, counts: dict[str, int]) -> None:
        """Refuse a target that has more rows than the source, or whose newest orders are not in the source."""
        is_larger = any(_count(connection, table) > counts[table.name] for table in _TABLES)
        newest = connection.execute(select(outbox).order_by(outbox.c.id.desc()).limit(BATCH)).all()
        if is_larger or _missing(self._source, outbox, newest):
            raise TransferRefused(_OTHER_ORDERS)

    def _each_batch(
        self, table: Table, counts: dict[str, int], act: Callable[[Table, Sequence[Row[Any]]], None], label: str
    ) -> None:
        statement = select(table).order_by(*table.primary_key.columns).execution_options(yield_per=BATCH)
        with self._progress(length=counts[table.name], label=label) as bar, self._source.execute(statement) as result:
            for rows in result.partitions():
                act(table, rows)
                bar.update(len(rows))

    def _copy(self, table: Table, rows: Sequence[Row[Any]]) -> None:
        with self._target.begin() as connection:
            if missing := _missing(connection, table, rows):
                connection.execute(insert(table), [row._asdict() for row in missing])

    def _compare(self, table: Table, rows: Sequence[Row[Any]]) -> None:
        with self._target.begin() as connection:
            if _missing(connection, table, rows):
                raise TransferRefused(f"rows of {table.name} did not arrive: repeat the command")

    def _check_counts(self, connection: Connection, counts: dict[str, int]) -> None:
        for table in _TABLES:
            if _count(connection, table) != counts[table.name]:
                raise TransferRefused(f"{_OTHER_ORDERS} (more rows in {table.name})")


def _missing(connection: Connection, table: Table, rows: Sequence[Row[Any]]) -> list[Row[Any]]:
    """Return those rows of another database that this one lacks. Raises TransferRefused if it has one that differs."""
    columns = [*table.primary_key.columns]
    key = itemgetter(*(table.c.keys().index(column.name) for column in columns))
    keys = [key(row) for row in rows]
    condition = columns[0].in_(keys) if len(columns) == 1 else tuple_(*columns).in_(keys)
    known = {key(row): tuple(row) for row in connection.execute(select(table).where(condition))} if keys else {}
    pairs = list(zip(keys, rows, strict=True))
    if any(known.get(each, tuple(row)) != tuple(row) for each, row in pairs):
        raise TransferRefused(f"{_OTHER_ORDERS} ({table.name} differs)")
    return [row for each, row in pairs if each not in known]


def _count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _finish_postgres(connection: Connection) -> None:
    """Set each id sequence to the last copied id, and update the planner's statistics."""
    for table in _TABLES:
        last = connection.execute(select(func.max(table.c.id))).scalar() if "id" in table.c else None
        if last is not None:
            connection.execute(_SET_SEQUENCE, {"name": table.name, "last": last}).close()
    connection.exec_driver_sql(f"ANALYZE {_NAMES}")


@contextmanager
def _opened(engine: Engine) -> Iterator[None]:
    """Hold the engine's only connection, with the database to itself."""
    take = _take_sqlite if engine.dialect.name == "sqlite" else _take_postgres
    event.listen(engine, "connect", partial(take, _name(engine)))
    try:
        engine.connect().close()
        yield
    finally:
        engine.dispose()


def _prepare(label: str, url: str, password_file: str = "") -> None:
    """Bring the tables up to date: both databases must have the same ones."""
    reading = reading_engine(url, password_file)
    try:
        Schema(reading, migrating_engine(url, password_file), label=label).make_usable(may_migrate=True)
    finally:
        reading.dispose()


def _take_sqlite(name: str, connection: sqlite3.Connection, record: Any) -> None:
    """Keep every other process away from a SQLite file. Raises TransferRefused if one uses it."""
    try:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        # Only a connection that is alone can leave the WAL mode. It then keeps its lock.
        connection.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as exc:
        raise TransferRefused(f"{name} is in use: stop the services that use it ({exc})") from exc


def _take_postgres(name: str, session: psycopg.Connection[Any], record: Any) -> None:
    """Remove the time limits. Raises TransferRefused if this user has other sessions in the database."""
    was_autocommit, session.autocommit = session.autocommit, True
    session.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
    others = session.execute(_OTHER_SESSIONS).fetchone()
    session.autocommit = was_autocommit
    if others is None or others[0]:
        raise TransferRefused(f"{name} is in use: stop the services that use it, and close other sessions of this user")


def _keep_writers_away(connection: Connection) -> None:
    """Keep others from writing until the transaction ends. A SQLite file is locked already."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"LOCK TABLE {_NAMES} IN EXCLUSIVE MODE")


def _first_line(exc: DBAPIError) -> str:
    """Return what the database says, without the further lines, which may quote a row."""
    return str(exc.orig).partition("\n")[0]


def _name(engine: Engine) -> str:
    return f"the {engine.dialect.name} database {engine.url.database}"
